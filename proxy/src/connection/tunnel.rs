//! What a 101 leaves for the connection task.

use std::time::Duration;

use outrigger_filters::{context::Context, error::Error};

use crate::upstream::pool::Upgraded;

/// The upstream end of an upgraded connection, waiting for the client's.
pub(crate) struct Tunnel {
    /// The upstream end.
    pub upstream: Upgraded,
    /// Hears how it ends.
    pub guard: Box<dyn Guard>,
    /// After how long without a byte in either direction it ends.
    pub idle: Option<Duration>,
    /// Whether it is a WebSocket.
    pub has_frames: bool,
}

/// The guard of the exchange that the 101 answered, which ends when this is dropped.
pub(crate) trait Guard {
    /// What is counted of the exchange.
    fn context(&self) -> &Context;

    /// It has ended for this reason.
    fn failed(&self, error: &Error);

    /// It was still there when `drainTimeout` was over.
    fn drained(&self);
}
