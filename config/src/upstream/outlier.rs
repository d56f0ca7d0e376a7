//! `outlierDetection` of an upstream: when a failing endpoint is ejected, and for how long.

use std::time::Duration;

use crate::block::{
    At, Int, Time, block,
    field::{narrow, number, time_over_zero},
    problem::Report,
};

block! {
    /// When a failing endpoint is ejected, and for how long.
    OutlierDetectionBlock {
        /// Failures in a row before an ejection: statuses from 500 on, failed or broken
        /// connections, timeouts. 1 to 1000. Default 5.
        "consecutiveErrors" consecutive_errors: Int<1, 1000>,
        /// Duration of the first ejection, over 0; the second in a row is twice as long, the third
        /// three times, and so on. After it, one request tries the endpoint. Default 30s.
        "baseEjectionTime" base_ejection_time: Time,
        /// Maximum duration of an ejection, at least baseEjectionTime. Default 5m, or
        /// baseEjectionTime if that is more.
        "maxEjectionTime" max_ejection_time: Time,
        /// Maximum percentage of endpoints that are ejected at the same time, 0 to 100; the last
        /// one is never ejected. Default 50; 0 disables ejection.
        "maxEjectionPercent" max_ejection_percent: Int<0, 100>,
    }
    shown_as OutlierDetection
}

/// When a failing endpoint is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlierDetection {
    /// Failures in a row before an ejection. Default 5.
    pub consecutive_errors: u32,
    /// Duration of the first ejection; the second in a row is twice as long, the third three times,
    /// and so on. Default 30 s.
    pub base_ejection_time: Duration,
    /// Maximum duration. Default 5 min, or the base if that is more.
    pub max_ejection_time: Duration,
    /// Maximum percentage of ejected endpoints; the last one is never ejected. Default 50; 0
    /// disables ejection.
    pub max_ejection_percent: u8,
}

/// Envoy's default: fewer failures happen by chance.
const CONSECUTIVE_ERRORS: u64 = 5;

/// Envoy's default; about the restart time of a pod.
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);

/// Envoy's default.
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// The remaining endpoints must carry the load; see `PANIC_PERCENT` of `loadBalancer`.
const MAX_EJECTION_PERCENT: u64 = 50;

/// Validates the settings for an upstream with this many endpoints, if the number is known.
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
        let message = "`maxEjectionTime` is shorter than `baseEjectionTime`";
        let help = "write at least `baseEjectionTime` (default 30s)";
        report.error(&written.place, "out-of-range", message, help);
    }
    let percent = number(&block.max_ejection_percent, MAX_EJECTION_PERCENT);
    if let (Some(written), Some(count @ 2..)) = (&block.max_ejection_percent, endpoints)
        && percent > 0
        && percent * (count as u64) < 100
    {
        let message = format!(
            "{percent} % of {count} endpoints is less than one, so no endpoint is ever ejected"
        );
        let help = format!(
            "write at least {}, or 0 to disable ejection",
            100_u64.div_ceil(count as u64)
        );
        report.warning(&written.place, "ejection-disabled", message, help);
    }
    OutlierDetection {
        consecutive_errors: narrow(number(&block.consecutive_errors, CONSECUTIVE_ERRORS)),
        base_ejection_time: base,
        max_ejection_time: longest,
        max_ejection_percent: narrow(percent),
    }
}
