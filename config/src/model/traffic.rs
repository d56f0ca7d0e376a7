//! What a route does with its traffic beside sending it on.

use std::time::Duration;

use http::StatusCode;

use crate::{block::Percent, model::UpstreamId};

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
        Self { max, queue, queue_timeout }
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

/// `requestMirror`: where copies of some requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirror {
    /// The upstream.
    pub upstream: UpstreamId,
    /// How many of the requests are copied. Default all.
    pub percent: Percent,
}
