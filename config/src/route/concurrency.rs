//! `concurrency` of a route: a limit on in-flight requests, with a queue.

use std::time::Duration;

use crate::block::{
    Int, Time, block,
    field::{narrow, number, time_over_zero},
    problem::Report,
    show::{Object, time},
};

block! {
    /// Limit on in-flight requests of the route, over all workers.
    ConcurrencyBlock {
        /// Maximum in-flight requests, 1 to 1000000.
        "max" max: Int<1, 1_000_000>,
        /// Maximum queued requests, 0 to 1000000. Default 0: requests over `max` are rejected at
        /// once.
        "queue" queue: Int<0, 1_000_000>,
        /// Maximum time in the queue, over 0. Default 100ms.
        "queueTimeout" queue_timeout: Time,
    }
    required ["max"]
}

/// `concurrency`: a limit on in-flight requests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Maximum in-flight requests, 1-1 000 000.
    pub max: u32,
    /// Maximum queued requests, 0-1 000 000. Default 0.
    pub queue: u32,
    /// Maximum time in the queue. Default 100 ms.
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

/// Longer than most requests take, shorter than a user notices.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(100);

/// Validates the block.
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

/// Renders the accepted value.
pub(crate) fn show(concurrency: &Concurrency) -> Object {
    Object::new()
        .with("max", concurrency.max)
        .with("queue", concurrency.queue)
        // The key is rejected without a queue.
        .maybe(
            "queueTimeout",
            (concurrency.queue > 0).then(|| time(concurrency.queue_timeout)),
        )
}
