//! `concurrency` of a route: at most so many requests at once.

use std::time::Duration;

use crate::block::{
    Int, Time, block,
    field::{narrow, number, time_over_zero},
    problem::Report,
    show::{Object, time},
};

block! {
    /// At most so many requests of the route at once, over all workers.
    ConcurrencyBlock {
        /// Requests that are with the upstream at once, 1 to 1000000.
        "max" max: Int<1, 1_000_000>,
        /// Requests that may wait for their turn, 0 to 1000000. Default 0: one too many is refused at once.
        "queue" queue: Int<0, 1_000_000>,
        /// How long one waits, over 0. Default 100ms.
        "queueTimeout" queue_timeout: Time,
    }
    required ["max"]
}

/// `concurrency`: at most so many requests at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Requests that are with the upstream at once, 1-1 000 000.
    pub max: u32,
    /// Requests that may wait, 0-1 000 000. Default 0.
    pub queue: u32,
    /// How long one waits. Default 100 ms.
    pub queue_timeout: Duration,
}

impl Concurrency {
    /// A limit with a queue in front.
    pub fn new(max: u32, queue: u32, queue_timeout: Duration) -> Self {
        Self {
            max,
            queue,
            queue_timeout,
        }
    }
}

/// Longer than most requests take, shorter than anybody's patience.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(100);

/// Checks what was written.
pub(crate) fn accept(block: &ConcurrencyBlock, report: &mut Report) -> Concurrency {
    let queue = narrow(number(&block.queue, 0));
    if let Some(written) = block.queue_timeout.as_ref().filter(|_| queue == 0) {
        let message = "`queueTimeout` has no effect without a queue";
        report.error(
            &written.place,
            "conflicting-keys",
            message,
            "add `queue: …`, or remove it",
        );
    }
    Concurrency {
        max: narrow(number(&block.max, 1)),
        queue,
        queue_timeout: time_over_zero(&block.queue_timeout, QUEUE_TIMEOUT, report),
    }
}

/// Shows what was accepted.
pub(crate) fn show(concurrency: &Concurrency) -> Object {
    Object::new()
        .with("max", concurrency.max)
        .with("queue", concurrency.queue)
        // Without a queue the key is refused.
        .maybe(
            "queueTimeout",
            (concurrency.queue > 0).then(|| time(concurrency.queue_timeout)),
        )
}
