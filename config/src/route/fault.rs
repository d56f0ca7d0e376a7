//! `fault` of a route: injected delays and failures.

use std::time::Duration;

use http::StatusCode;

use crate::block::{
    At, Int, Percent, Share, Time, block,
    field::{Field, narrow},
    problem::{Place, Report},
    show::{Object, percent, time},
};

block! {
    /// Fault injection: delays and failures for tests.
    FaultBlock {
        /// The delay, over 0.
        "delay" delay: Time,
        /// Percentage of requests that are delayed.
        "delayPercent" delay_percent: Share,
        /// Status of the injected failure, 400 to 599; the request is not sent to the upstream.
        "abortStatus" abort_status: Int<400, 599>,
        /// Percentage of requests that fail.
        "abortPercent" abort_percent: Share,
    }
}

/// `fault`: injected delays and failures; at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The delay, and the percentage of requests.
    pub delay: Option<(Duration, Percent)>,
    /// The status, 400-599, and the percentage of requests.
    pub abort: Option<(StatusCode, Percent)>,
}

impl Fault {
    /// A fault of these parts.
    pub fn new(delay: Option<(Duration, Percent)>, abort: Option<(StatusCode, Percent)>) -> Self {
        Self { delay, abort }
    }
}

/// Validates the block. Both keys of a pair are required: omitting the percentage must not affect
/// all requests.
pub(crate) fn accept(written: &At<FaultBlock>, report: &mut Report) -> Fault {
    let block = &written.value;
    let delay = block.delay.as_ref().map(|delay| &delay.place);
    let abort = block.abort_status.as_ref().map(|status| &status.place);
    if delay.is_none() && abort.is_none() {
        let help = "write `delay` and `delayPercent`, or `abortStatus` and `abortPercent`";
        report.missing(
            &written.place,
            &["delay", "abortStatus"],
            "`fault` does nothing",
            help,
        );
    }
    both(
        ("delay", delay),
        ("delayPercent", &block.delay_percent),
        report,
    );
    both(
        ("abortStatus", abort),
        ("abortPercent", &block.abort_percent),
        report,
    );
    let share = |share: &Field<Share>| Percent(share.as_ref().map_or(0, |share| share.value.0));
    let status = |status: u64| StatusCode::from_u16(narrow(status)).unwrap_or_default();
    Fault {
        delay: block.delay.as_ref().map(|written| {
            (
                delay_over_zero(written, report),
                share(&block.delay_percent),
            )
        }),
        abort: block
            .abort_status
            .as_ref()
            .map(|one| (status(one.value.0), share(&block.abort_percent))),
    }
}

/// There is no default, so the help cannot suggest to remove the key alone.
fn delay_over_zero(written: &At<Time>, report: &mut Report) -> Duration {
    if written.value.0.is_zero() {
        let help = "write a duration over 0s, or remove `delay` and `delayPercent`";
        report.error(
            &written.place,
            "out-of-range",
            "a delay of 0s has no effect",
            help,
        );
    }
    written.value.0
}

fn both(
    (key, place): (&str, Option<&Place>),
    (share, percent): (&str, &Field<Share>),
    report: &mut Report,
) {
    let (present, missing, place) = match (place, percent) {
        (Some(place), None) => (key, share, place),
        (None, Some(percent)) => (share, key, &percent.place),
        _ => return,
    };
    let message = format!("`{present}` without `{missing}`");
    let help = format!("add `{missing}: …`, or remove `{present}`");
    report.missing(place, &[missing], message, help);
}

/// Renders the accepted value.
pub(crate) fn show(fault: &Fault) -> Object {
    Object::new()
        .maybe("delay", fault.delay.map(|(delay, _)| time(delay)))
        .maybe("delayPercent", fault.delay.map(|(_, share)| percent(share)))
        .maybe(
            "abortStatus",
            fault.abort.map(|(status, _)| status.as_u16()),
        )
        .maybe("abortPercent", fault.abort.map(|(_, share)| percent(share)))
}
