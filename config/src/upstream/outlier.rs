//! `outlierDetection` of an upstream: when an endpoint that fails is ejected, and for how long.

use std::time::Duration;

use crate::block::{
    At, Int, Time, block,
    field::{narrow, number, time_over_zero},
    problem::Report,
};

block! {
    /// When an endpoint that fails is ejected, and for how long.
    OutlierDetectionBlock {
        /// After so many failures in a row: answers from 500 on, no connection, broken ones, timeouts. 1 to 1000. Default 5.
        "consecutiveErrors" consecutive_errors: Int<1, 1000>,
        /// For how long the first time, over 0; each further time in a row as much longer. Then one request tries it again. Default 30s.
        "baseEjectionTime" base_ejection_time: Time,
        /// Never longer than this, at least baseEjectionTime. Default 5m, or baseEjectionTime where that is more.
        "maxEjectionTime" max_ejection_time: Time,
        /// At most this share of the endpoints at a time, and never the last one, 0 to 100. Default 50; 0 ejects none.
        "maxEjectionPercent" max_ejection_percent: Int<0, 100>,
    }
    shown_as OutlierDetection
}

/// When an endpoint that fails is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlierDetection {
    /// After so many failures in a row. Default 5.
    pub consecutive_errors: u32,
    /// For this long the first time, twice as long the second, and so on. Default 30 s.
    pub base_ejection_time: Duration,
    /// Never longer than this. Default 5 min, or the base where that is more.
    pub max_ejection_time: Duration,
    /// At most so many of 100 endpoints at a time, and never the last. Default 50; 0 ejects none.
    pub max_ejection_percent: u8,
}

/// Envoy's default: fewer happen by chance.
const CONSECUTIVE_ERRORS: u64 = 5;

/// Envoy's default; about as long as a pod takes to start again.
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);

/// Envoy's default.
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// What is left must carry the load; see `PANIC_PERCENT` of `loadBalancer`.
const MAX_EJECTION_PERCENT: u64 = 50;

/// The rules for an upstream with so many endpoints, as far as their number is known.
pub(crate) fn accept(
    block: Option<&At<OutlierDetectionBlock>>,
    endpoints: Option<usize>,
    report: &mut Report,
) -> OutlierDetection {
    let none = OutlierDetectionBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    let base = time_over_zero(&block.base_ejection_time, BASE_EJECTION_TIME, report);
    let longest = MAX_EJECTION_TIME.max(base);
    let longest = time_over_zero(&block.max_ejection_time, longest, report);
    if let Some(written) = block.max_ejection_time.as_ref().filter(|_| longest < base) {
        let message = "the longest ejection is shorter than the first one";
        let help = "write at least `baseEjectionTime`, whose default is 30s";
        report.error(&written.place, "out-of-range", message, help);
    }
    let percent = number(&block.max_ejection_percent, MAX_EJECTION_PERCENT);
    if let (Some(written), Some(count @ 2..)) = (&block.max_ejection_percent, endpoints)
        && percent > 0
        && percent * (count as u64) < 100
    {
        let message =
            format!("{percent} % of {count} endpoints is less than one, so none is ever ejected");
        let help = format!(
            "write at least {}, or 0 to say so",
            100_u64.div_ceil(count as u64)
        );
        report.warning(&written.place, "ejects-none", message, help);
    }
    OutlierDetection {
        consecutive_errors: narrow(number(&block.consecutive_errors, CONSECUTIVE_ERRORS)),
        base_ejection_time: base,
        max_ejection_time: longest,
        max_ejection_percent: narrow(percent),
    }
}
