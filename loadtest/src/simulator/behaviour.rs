//! The behavior of one endpoint, as written on a command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::latency::Latency;
use crate::units::{self, Spelled};

/// The behavior of one endpoint, written as `key=value` words; [`Behaviour::default`] returns 200
/// at once:
///
/// | word | meaning |
/// |---|---|
/// | `latency=TIME` | time until the response; also `lognormal:MEDIAN:SIGMA[:CAP]`, `pareto:LEAST:ALPHA[:CAP]` |
/// | `slots=N` | concurrent requests; further ones wait |
/// | `fail=PERCENT%[:STATUS]` | percentage of responses with that status, 503 by default |
/// | `retry-after=SECONDS` | Retry-After of those responses |
/// | `hang=PERCENT%` | percentage of requests without a response |
/// | `reset=PERCENT%[:head\|:body]` | percentage of connections that are reset before the head, or in the middle of the body |
/// | `drip=CHUNKS:TIME` | number of chunks of the body, and the pause between them |
/// | `down=FROM..TO` | dead for this time since the start: connections are reset and refused; may be repeated |
/// | `body=SIZE` | length of the body, 64 bytes by default |
/// | `checks=same` | `/healthz` behaves like other paths; otherwise it returns 200 while the endpoint is alive |
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Time until the response.
    pub latency: Latency,
    /// Concurrent requests; `None` is unlimited.
    pub slots: Option<usize>,
    /// Failures by status.
    pub fail: Option<Fail>,
    /// `Retry-After` of failures, in seconds.
    pub retry_after: Option<u64>,
    /// Percentage of requests without a response.
    pub hang: f64,
    /// Connections that are reset.
    pub reset: Option<Reset>,
    /// Bodies in chunks.
    pub drip: Option<Drip>,
    /// When the endpoint is dead, measured from the start.
    pub down: Vec<(Duration, Duration)>,
    /// Length of the body in bytes.
    pub body: u64,
    /// Whether health checks have the same behavior as requests.
    pub same_checks: bool,
}

/// Responses with another status.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fail {
    /// Percentage of requests.
    pub percent: f64,
    /// Their status.
    pub status: StatusCode,
}

/// Connections that are reset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reset {
    /// Percentage of requests.
    pub percent: f64,
    /// The time of the reset.
    pub at: ResetAt,
}

/// The time of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetAt {
    /// Before the first byte of the response.
    Head,
    /// After the head and half of the body.
    Body,
}

/// A body in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drip {
    /// The number of chunks.
    pub chunks: u64,
    /// The pause between chunks.
    pub pause: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: Latency::Fixed(Duration::ZERO),
            slots: None,
            fail: None,
            retry_after: None,
            hang: 0.0,
            reset: None,
            drip: None,
            down: Vec::new(),
            body: 64,
            same_checks: false,
        }
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut behaviour = Self::default();
        for word in text.split_whitespace() {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?} is not key=value"))?;
            behaviour
                .set(key, value)
                .map_err(|problem| format!("{key}: {problem}"))?;
        }
        if behaviour.retry_after.is_some() && behaviour.fail.is_none() {
            return Err("retry-after: requires fail=PERCENT%".to_owned());
        }
        Ok(behaviour)
    }
}

impl Behaviour {
    /// Whether the endpoint is alive at this time after the start.
    pub(super) fn is_up(&self, since: Duration) -> bool {
        !self
            .down
            .iter()
            .any(|(from, to)| (*from..*to).contains(&since))
    }

    /// When it next dies or returns.
    pub(super) fn next_turn(&self, since: Duration) -> Option<Duration> {
        self.down
            .iter()
            .flat_map(|(from, to)| [*from, *to])
            .filter(|turn| *turn > since)
            .min()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "latency" => self.latency = Latency::parse(value)?,
            "slots" => self.slots = Some(at_least_one(value)?),
            "fail" => self.fail = Some(fail(value)?),
            "retry-after" => self.retry_after = Some(whole(value)?),
            "hang" => self.hang = percent(value)?,
            "reset" => self.reset = Some(reset(value)?),
            "drip" => self.drip = Some(drip(value)?),
            "down" => self.down.push(span(value)?),
            "body" => self.body = units::size(value)?,
            "checks" => self.same_checks = choice(value, &[("ok", false), ("same", true)])?,
            _ => return Err("unknown key".to_owned()),
        }
        Ok(())
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "latency={}", self.latency)?;
        if let Some(slots) = self.slots {
            write!(f, " slots={slots}")?;
        }
        if let Some(Fail { percent, status }) = self.fail {
            write!(f, " fail={percent}%:{}", status.as_u16())?;
        }
        if let Some(seconds) = self.retry_after {
            write!(f, " retry-after={seconds}")?;
        }
        if self.hang > 0.0 {
            write!(f, " hang={}%", self.hang)?;
        }
        if let Some(Reset { percent, at }) = self.reset {
            write!(
                f,
                " reset={percent}%:{}",
                if at == ResetAt::Head { "head" } else { "body" }
            )?;
        }
        if let Some(Drip { chunks, pause }) = self.drip {
            write!(f, " drip={chunks}:{}", Spelled(pause))?;
        }
        for (from, to) in &self.down {
            write!(f, " down={}..{}", Spelled(*from), Spelled(*to))?;
        }
        write!(f, " body={}", self.body)?;
        if self.same_checks {
            f.write_str(" checks=same")
        } else {
            Ok(())
        }
    }
}

/// `10%`, with or without the sign.
fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .strip_suffix('%')
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("{text:?} is not a percentage"))?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{text:?} is not in the range 0-100"))
    }
}

fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a whole number"))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match whole(text)? {
        0 => Err("must be at least 1".to_owned()),
        number => Ok(number),
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names = || {
        choices
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    let found = choices.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("expected {}", names()))
}

fn fail(text: &str) -> Result<Fail, String> {
    let (rate, status) = text.split_once(':').unwrap_or((text, "503"));
    let code: u16 = whole(status)?;
    if !(400..600).contains(&code) {
        return Err(format!("{status} is not a failure; use 400 to 599"));
    }
    let status = StatusCode::from_u16(code).map_err(|error| error.to_string())?;
    Ok(Fail {
        percent: percent(rate)?,
        status,
    })
}

fn reset(text: &str) -> Result<Reset, String> {
    let (rate, at) = text.split_once(':').unwrap_or((text, "head"));
    let at = choice(at, &[("head", ResetAt::Head), ("body", ResetAt::Body)])?;
    Ok(Reset {
        percent: percent(rate)?,
        at,
    })
}

fn drip(text: &str) -> Result<Drip, String> {
    let (chunks, pause) = text.split_once(':').ok_or("expected CHUNKS:TIME")?;
    Ok(Drip {
        chunks: at_least_one(chunks)? as u64,
        pause: units::duration(pause)?,
    })
}

fn span(text: &str) -> Result<(Duration, Duration), String> {
    let (from, to) = text.split_once("..").ok_or("expected FROM..TO")?;
    let span = (units::duration(from)?, units::duration(to)?);
    if span.0 < span.1 {
        Ok(span)
    } else {
        Err("ends before it starts".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_and_written_alike() {
        for text in [
            "latency=0ms body=64",
            "latency=10ms slots=4 body=1024",
            "latency=lognormal:10ms:1.2:2s body=64",
            "latency=pareto:5ms:1.1:900ms body=64",
            "latency=0ms fail=10%:502 retry-after=1 body=64",
            "latency=0ms hang=100% reset=2.5%:body drip=10:50ms down=5s..10s down=12s..12.5s body=64 checks=same",
        ] {
            assert_eq!(
                text.parse::<Behaviour>()
                    .map(|behaviour| behaviour.to_string()),
                Ok(text.to_owned())
            );
        }
        let short: Behaviour = "fail=10 reset=5% body=1k checks=ok".parse().unwrap();
        assert_eq!(
            short.to_string(),
            "latency=0ms fail=10%:503 reset=5%:head body=1024"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_word_it_stands_in() {
        for text in [
            "latency",
            "latency=soon",
            "latency=pareto:5ms",
            "latency=pareto:5ms:0",
            "latency=gauss:5ms:1",
            "slots=0",
            "fail=101%",
            "fail=10%:200",
            "fail=10%:604",
            "hang=-1%",
            "hang=nan",
            "reset=1%:tail",
            "drip=10",
            "drip=0:1ms",
            "down=5s",
            "down=5s..5s",
            "body=x",
            "checks=never",
            "colour=red",
            "retry-after=1",
        ] {
            let key = text.split('=').next().unwrap();
            let refused = text.parse::<Behaviour>().unwrap_err();
            assert!(refused.contains(key), "{text}: {refused}");
        }
    }

    #[test]
    fn a_schedule_says_when_it_is_dead_and_when_that_changes() {
        let behaviour: Behaviour = "down=2s..3s down=5s..6s".parse().unwrap();
        let up = [0, 2, 3, 4, 5, 6].map(|at| behaviour.is_up(Duration::from_secs(at)));
        assert_eq!(up, [true, false, true, true, false, true]);
        let turns = [0, 2, 3, 5, 6].map(|at| behaviour.next_turn(Duration::from_secs(at)));
        assert_eq!(
            turns,
            [Some(2), Some(3), Some(5), Some(6), None].map(|turn| turn.map(Duration::from_secs))
        );
    }
}
