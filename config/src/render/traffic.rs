//! What routes do with their traffic beside sending it on.

use super::value::{Object, percent, time};
use crate::model::{Concurrency, Fault};

pub(super) fn concurrency(concurrency: &Concurrency) -> Object {
    Object::new()
        .with("max", concurrency.max)
        .with("queue", concurrency.queue)
        // Without a queue the key is refused.
        .maybe("queueTimeout", (concurrency.queue > 0).then(|| time(concurrency.queue_timeout)))
}

pub(super) fn fault(fault: &Fault) -> Object {
    Object::new()
        .maybe("delay", fault.delay.map(|(delay, _)| time(delay)))
        .maybe("delayPercent", fault.delay.map(|(_, share)| percent(share)))
        .maybe("abortStatus", fault.abort.map(|(status, _)| status.as_u16()))
        .maybe("abortPercent", fault.abort.map(|(_, share)| percent(share)))
}
