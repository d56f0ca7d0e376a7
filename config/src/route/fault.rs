//! `fault` of a route: delays and failures on purpose.

use std::time::Duration;

use http::StatusCode;

use crate::block::{
    At, Int, Percent, Share, Time, block,
    field::{Field, narrow},
    problem::{Place, Report},
    show::{Object, percent, time},
};

block! {
    /// Delays and failures on purpose, for game days.
    FaultBlock {
        /// How long a request is held back, over 0.
        "delay" delay: Time,
        /// How many of 100 requests are held back.
        "delayPercent" delay_percent: Share,
        /// The status of an answer that the upstream is not asked for, 400 to 599.
        "abortStatus" abort_status: Int<400, 599>,
        /// How many of 100 requests get it.
        "abortPercent" abort_percent: Share,
    }
}

/// `fault`: delays and failures on purpose; at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// How long, and for what share of the requests.
    pub delay: Option<(Duration, Percent)>,
    /// Which status, 400-599, and for what share.
    pub abort: Option<(StatusCode, Percent)>,
}

impl Fault {
    /// A fault of these parts.
    pub fn new(delay: Option<(Duration, Percent)>, abort: Option<(StatusCode, Percent)>) -> Self {
        Self { delay, abort }
    }
}

/// Checks what was written. Of each pair of keys both are written: a share of all requests is nothing to get by leaving a key out.
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

/// It has no default that could be had by removing it.
fn delay_over_zero(written: &At<Time>, report: &mut Report) -> Duration {
    if written.value.0.is_zero() {
        let help = "write a duration over 0s, or remove `delay` and `delayPercent`";
        report.error(
            &written.place,
            "out-of-range",
            "a delay of 0s holds no request back",
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

/// Shows what was accepted.
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
