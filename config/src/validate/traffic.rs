//! `concurrency`, `requestMirror` and `fault` of routes.

use std::time::Duration;

use http::StatusCode;

use crate::{
    block::{
        At, Either, Percent, Share, Time,
        field::{Field, narrow, number, time_over_zero},
        problem::{Place, Report},
    },
    model::{Concurrency, Fault, Mirror},
    schema::{ConcurrencyBlock, FaultBlock, MirrorBlock},
    validate::{action, defaults, route::Context},
};

/// Checks `concurrency`.
pub(super) fn concurrency(block: &ConcurrencyBlock, report: &mut Report) -> Concurrency {
    let queue = narrow(number(&block.queue, 0));
    if let Some(written) = block.queue_timeout.as_ref().filter(|_| queue == 0) {
        let message = "`queueTimeout` has no effect without a queue";
        report.error(&written.place, "conflicting-keys", message, "add `queue: …`, or remove it");
    }
    Concurrency {
        max: narrow(number(&block.max, 1)),
        queue,
        queue_timeout: time_over_zero(&block.queue_timeout, defaults::QUEUE_TIMEOUT, report),
    }
}

/// Checks `requestMirror`. `None` was reported.
pub(super) fn mirror(block: &MirrorBlock, context: &Context<'_>, report: &mut Report) -> Option<Mirror> {
    let written = block.backend_ref.as_ref()?;
    let (name, place) = match &written.value {
        Either::Short(name) => (name, &written.place),
        Either::Map(block) => block.name.as_ref().map(|name| (&name.value, &name.place))?,
    };
    let upstream = action::upstream(name, place, context, report)?;
    let percent = block.percent.as_ref().map_or(defaults::MIRROR_PER_MILLION, |share| share.value.0);
    Some(Mirror { upstream, percent: Percent(percent) })
}

/// Checks `fault`. Of each pair of keys both are written: a share of all requests is nothing to get by leaving a key out.
pub(super) fn fault(written: &At<FaultBlock>, report: &mut Report) -> Fault {
    let block = &written.value;
    let delay = block.delay.as_ref().map(|delay| &delay.place);
    let abort = block.abort_status.as_ref().map(|status| &status.place);
    if delay.is_none() && abort.is_none() {
        let help = "write `delay` and `delayPercent`, or `abortStatus` and `abortPercent`";
        report.missing(&written.place, &["delay", "abortStatus"], "`fault` does nothing", help);
    }
    both(("delay", delay), ("delayPercent", &block.delay_percent), report);
    both(("abortStatus", abort), ("abortPercent", &block.abort_percent), report);
    let share = |share: &Field<Share>| Percent(share.as_ref().map_or(0, |share| share.value.0));
    let status = |status: u64| StatusCode::from_u16(narrow(status)).unwrap_or_default();
    Fault {
        delay: block
            .delay
            .as_ref()
            .map(|written| (delay_over_zero(written, report), share(&block.delay_percent))),
        abort: block.abort_status.as_ref().map(|one| (status(one.value.0), share(&block.abort_percent))),
    }
}

/// It has no default that could be had by removing it.
fn delay_over_zero(written: &At<Time>, report: &mut Report) -> Duration {
    if written.value.0.is_zero() {
        let help = "write a duration over 0s, or remove `delay` and `delayPercent`";
        report.error(&written.place, "out-of-range", "a delay of 0s holds no request back", help);
    }
    written.value.0
}

fn both((key, place): (&str, Option<&Place>), (share, percent): (&str, &Field<Share>), report: &mut Report) {
    let (present, missing, place) = match (place, percent) {
        (Some(place), None) => (key, share, place),
        (None, Some(percent)) => (share, key, &percent.place),
        _ => return,
    };
    let message = format!("`{present}` without `{missing}`");
    let help = format!("add `{missing}: …`, or remove `{present}`");
    report.missing(place, &[missing], message, help);
}
