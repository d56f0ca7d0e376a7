//! `outlierDetection` of an upstream.

use crate::{
    block::{
        At,
        field::{narrow, number, time_over_zero},
        problem::Report,
    },
    model::OutlierDetection,
    schema::OutlierDetectionBlock,
    validate::defaults,
};

/// The rules for an upstream with so many endpoints, as far as their number is known.
pub(crate) fn outlier_detection(
    block: Option<&At<OutlierDetectionBlock>>,
    endpoints: Option<usize>,
    report: &mut Report,
) -> OutlierDetection {
    let none = OutlierDetectionBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    let base = time_over_zero(&block.base_ejection_time, defaults::BASE_EJECTION_TIME, report);
    let longest = defaults::MAX_EJECTION_TIME.max(base);
    let longest = time_over_zero(&block.max_ejection_time, longest, report);
    if let Some(written) = block.max_ejection_time.as_ref().filter(|_| longest < base) {
        let message = "the longest ejection is shorter than the first one";
        let help = "write at least `baseEjectionTime`, whose default is 30s";
        report.error(&written.place, "out-of-range", message, help);
    }
    let percent = number(&block.max_ejection_percent, defaults::MAX_EJECTION_PERCENT);
    if let (Some(written), Some(count @ 2..)) = (&block.max_ejection_percent, endpoints)
        && percent > 0
        && percent * (count as u64) < 100
    {
        let message = format!("{percent} % of {count} endpoints is less than one, so none is ever ejected");
        let help = format!("write at least {}, or 0 to say so", 100_u64.div_ceil(count as u64));
        report.warning(&written.place, "ejects-none", message, help);
    }
    OutlierDetection {
        consecutive_errors: narrow(number(&block.consecutive_errors, defaults::CONSECUTIVE_ERRORS)),
        base_ejection_time: base,
        max_ejection_time: longest,
        max_ejection_percent: narrow(percent),
    }
}
