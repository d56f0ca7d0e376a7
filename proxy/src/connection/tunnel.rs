//! The upstream side of an upgraded connection, from a 101 to the connection task.

use std::time::Duration;

use outrigger_filters::{context::Context, error::Error};

use crate::upstream::pool::Upgraded;

/// The upstream side, until it is joined with the client.
pub(crate) struct Tunnel {
    pub upstream: Upgraded,
    /// Records how it ends.
    pub guard: Box<dyn Guard>,
    /// It is closed after this time without a byte in either direction.
    pub idle: Option<Duration>,
    /// Whether it is a WebSocket.
    pub has_frames: bool,
}

/// The guard of the exchange with the 101, which ends when this is dropped.
pub(crate) trait Guard {
    /// The context of the exchange.
    fn context(&self) -> &Context;

    /// It ended with this error.
    fn failed(&self, error: &Error);

    /// It was still open at the end of `drainTimeout`.
    fn drained(&self);
}
