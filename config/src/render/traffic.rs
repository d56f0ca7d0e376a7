//! What routes do with their traffic beside sending it on.

use crate::{
    block::show::{Object, percent, time},
    model::{Concurrency, Config, Fault, Mirror},
};

pub(super) fn concurrency(concurrency: &Concurrency) -> Object {
    Object::new()
        .with("max", concurrency.max)
        .with("queue", concurrency.queue)
        // Without a queue the key is refused.
        .maybe("queueTimeout", (concurrency.queue > 0).then(|| time(concurrency.queue_timeout)))
}

pub(super) fn mirror(config: &Config, mirror: &Mirror) -> Object {
    let name = &*config.upstream(mirror.upstream).name;
    Object::new()
        .with("backendRef", Object::new().with("name", name))
        .with("percent", percent(mirror.percent))
}

pub(super) fn fault(fault: &Fault) -> Object {
    Object::new()
        .maybe("delay", fault.delay.map(|(delay, _)| time(delay)))
        .maybe("delayPercent", fault.delay.map(|(_, share)| percent(share)))
        .maybe("abortStatus", fault.abort.map(|(status, _)| status.as_u16()))
        .maybe("abortPercent", fault.abort.map(|(_, share)| percent(share)))
}
