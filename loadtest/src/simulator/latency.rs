//! Response latency of an endpoint, drawn for each request.

use std::f64::consts::TAU;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::units::{self, Spelled};

/// Maximum draw by default: with an unlimited tail one request could dominate a whole run.
const DEFAULT_CAP: Duration = Duration::from_secs(2);

/// A distribution of latencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// Constant.
    Fixed(Duration),
    /// Log-normal: half of all draws are below the median; the greater sigma, the heavier the tail.
    LogNormal {
        /// Half of all draws are shorter.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// The maximum.
        cap: Duration,
    },
    /// Pareto: no draw is below `least`; the smaller alpha, the heavier the tail.
    Pareto {
        /// The shortest draw.
        least: Duration,
        /// The exponent of the tail.
        alpha: f64,
        /// The maximum.
        cap: Duration,
    },
}

impl Latency {
    pub(super) fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Fixed(duration) => duration,
            Self::LogNormal { median, sigma, cap } => {
                // Box and Muller, 1958; 1 - u keeps the logarithm away from zero.
                let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos();
                scaled(median, (sigma * normal).exp(), cap)
            }
            Self::Pareto { least, alpha, cap } => {
                scaled(least, (1.0 - rng.f64()).powf(-1.0 / alpha), cap)
            }
        }
    }

    /// `10ms`, `lognormal:MEDIAN:SIGMA[:CAP]` or `pareto:LEAST:ALPHA[:CAP]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let parts: Vec<_> = parts.collect();
        let cap = match parts.get(2) {
            Some(cap) => units::duration(cap)?,
            None => DEFAULT_CAP,
        };
        match (kind, parts.as_slice()) {
            ("lognormal", [median, sigma] | [median, sigma, _]) => Ok(Self::LogNormal {
                median: units::duration(median)?,
                sigma: positive(sigma)?,
                cap,
            }),
            ("pareto", [least, alpha] | [least, alpha, _]) => Ok(Self::Pareto {
                least: units::duration(least)?,
                alpha: positive(alpha)?,
                cap,
            }),
            (fixed, []) => units::duration(fixed).map(Self::Fixed),
            _ => Err(
                "expected TIME, lognormal:MEDIAN:SIGMA[:CAP] or pareto:LEAST:ALPHA[:CAP]"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(duration) => Spelled(*duration).fmt(f),
            Self::LogNormal { median, sigma, cap } => {
                write!(
                    f,
                    "lognormal:{}:{sigma}:{}",
                    Spelled(*median),
                    Spelled(*cap)
                )
            }
            Self::Pareto { least, alpha, cap } => {
                write!(f, "pareto:{}:{alpha}:{}", Spelled(*least), Spelled(*cap))
            }
        }
    }
}

fn scaled(unit: Duration, factor: f64, cap: Duration) -> Duration {
    Duration::try_from_secs_f64(unit.as_secs_f64() * factor).map_or(cap, |drawn| drawn.min(cap))
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err(format!("{text:?} is not positive"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws, sorted, in milliseconds.
    fn draws(text: &str) -> Vec<f64> {
        let (latency, mut rng) = (Latency::parse(text).unwrap(), Rng::with_seed(1));
        let mut draws: Vec<_> = (0..20_000)
            .map(|_| latency.draw(&mut rng).as_secs_f64() * 1e3)
            .collect();
        draws.sort_by(f64::total_cmp);
        draws
    }

    #[test]
    fn draws_have_the_quantiles_of_their_distribution() {
        // 10 ms * e^(1.2816) and e^(2.3263); 5 ms * 0.5^(-1/1.5) and 0.01^(-1/1.5).
        for (text, at, expected) in [
            ("lognormal:10ms:1", 0.5, 10.0),
            ("lognormal:10ms:1", 0.9, 36.0),
            ("lognormal:10ms:1", 0.99, 102.4),
            ("pareto:5ms:1.5", 0.5, 7.94),
            ("pareto:5ms:1.5", 0.99, 107.7),
            ("7ms", 0.99, 7.0),
        ] {
            let draws = draws(text);
            let found = draws[(at * draws.len() as f64) as usize];
            assert!(
                (found / expected - 1.0).abs() < 0.12,
                "{text} at {at}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn no_draw_is_longer_than_the_cap() {
        assert_eq!(draws("pareto:5ms:0.5:80ms").last(), Some(&80.0));
        assert_eq!(draws("lognormal:5ms:3:80ms").last(), Some(&80.0));
        assert_eq!(
            draws("pareto:5ms:0.5:80ms")
                .first()
                .map(|least| *least >= 5.0),
            Some(true)
        );
    }

    #[test]
    fn a_seed_makes_the_draws_repeat() {
        assert_eq!(draws("pareto:5ms:1.1"), draws("pareto:5ms:1.1"));
    }
}
