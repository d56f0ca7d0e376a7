//! `hedge` of a route: a second try in parallel to a slow first one.

use std::time::Duration;

use crate::{
    block::{
        At, Percent, Read, Reader, Share, block,
        field::share,
        inline_schema, json,
        node::{Node, Value},
        problem::{Place, Report},
        show::{self, Object, percent},
        value::{TIME_PATTERN, parse_time},
    },
    route::{action::Action, backends::WeightedBackend},
    upstream::Upstream,
};

block! {
    /// Hedging: a second try at another endpoint, in parallel to a slow first one; the first
    /// response is used. Only for idempotent requests that were received completely, and within the
    /// upstream's `retryBudget`.
    HedgeBlock {
        /// When the second try starts: a duration over 0, or `p50` to `p99`, a percentile of the
        /// measured response times (available after 100 requests).
        "after" after: AfterValue,
        /// Maximum percentage of requests that get a second try. Default 5.
        "maxPercent" max_percent: Share,
    }
    required ["after"]
}

/// A duration, or a percentile of measured times.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AfterValue {
    Time(Duration),
    Percentile(u8),
}

impl Read for AfterValue {
    fn read(node: &Node, place: &Place, reader: &mut Reader<'_>) -> Option<Self> {
        const HELP: &str = "write a duration such as 50ms, or p50 to p99";
        let Value::Text(text) = &node.value else {
            reader.mismatch(node, place, "a duration or a percentile", HELP);
            return None;
        };
        let (text, _) = reader.substituted(text, place)?;
        let after = parse_percentile(&text)
            .map(Self::Percentile)
            .or_else(|| parse_time(&text).map(Self::Time));
        if after.is_none() {
            let message =
                format!("{text:?} is neither a duration nor a percentile from p50 to p99");
            reader.invalid(place, "bad-duration", message, HELP.to_owned());
        }
        after
    }
}

fn parse_percentile(text: &str) -> Option<u8> {
    let number = text
        .strip_prefix('p')
        .filter(|digits| digits.len() == 2)?
        .parse()
        .ok()?;
    (50..=99).contains(&number).then_some(number)
}

inline_schema!([] AfterValue, |_generator| json::text(&format!("(p[5-9][0-9]|{TIME_PATTERN})")));

/// `hedge` of a route: a second try in parallel to a slow first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hedge {
    /// When the second try starts.
    pub after: HedgeAfter,
    /// Maximum percentage of requests with a second try. Default 5.
    pub max_percent: Percent,
}

impl Hedge {
    /// A second try after this time.
    pub fn new(after: HedgeAfter, max_percent: Percent) -> Self {
        Self { after, max_percent }
    }
}

/// When the second try starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After this time, over 0.
    Time(Duration),
    /// When the first try takes longer than this percentile, 50-99.
    Percentile(u8),
}

/// The percentage of requests that are slower than the usual `p95`.
const HEDGE_PER_MILLION: u32 = 50_000;

/// Validates the hedging of a route. `None` when a problem was reported, or the block is absent.
pub(crate) fn accept(
    block: Option<&At<HedgeBlock>>,
    action: &Action,
    upstreams: &[Upstream],
    report: &mut Report,
) -> Option<Hedge> {
    let At {
        value: block,
        place,
    } = block?;
    let alone = |backend: &WeightedBackend| {
        upstreams
            .get(backend.upstream.0 as usize)
            .is_some_and(|upstream| upstream.endpoints.len() == 1)
    };
    if let Action::Forward(backends) = action
        && !backends.is_empty()
        && backends.iter().all(alone)
    {
        let message = "no upstream of this route has a second endpoint";
        report.warning(
            place,
            "never-hedges",
            message,
            "add endpoints, or remove `hedge`",
        );
    }
    let written = block.after.as_ref()?;
    let after = match written.value {
        AfterValue::Percentile(percentile) => HedgeAfter::Percentile(percentile),
        AfterValue::Time(time) => {
            if time.is_zero() {
                let message = "a second try without delay would double the load";
                report.error(
                    &written.place,
                    "out-of-range",
                    message,
                    "write a duration over 0s, or p95",
                );
            }
            HedgeAfter::Time(time)
        }
    };
    let max_percent = share(&block.max_percent, HEDGE_PER_MILLION);
    Some(Hedge { after, max_percent })
}

/// Renders the accepted value.
pub(crate) fn show(hedge: &Hedge) -> Object {
    let after = match hedge.after {
        HedgeAfter::Time(after) => show::time(after),
        HedgeAfter::Percentile(number) => format!("p{number}").into(),
    };
    Object::new()
        .with("after", after)
        .with("maxPercent", percent(hedge.max_percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_p50_to_p99() {
        for (text, number) in [
            ("p50", Some(50)),
            ("p95", Some(95)),
            ("p99", Some(99)),
            ("p49", None),
            ("p100", None),
            ("p5", None),
            ("95", None),
            ("P95", None),
            ("p+9", None),
            ("p99.9", None),
        ] {
            assert_eq!(parse_percentile(text), number, "{text}");
        }
    }
}
