//! Metrics of client connections to one listener.

use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::telemetry::handshakes::HandshakeCounters;

/// Connections of one listener, of all workers.
#[derive(Default)]
pub(crate) struct ListenerCounters {
    pub open: AtomicI64,
    pub accepted: AtomicU64,
    pub handshakes: HandshakeCounters,
    /// Live connections that a change of trust closed.
    pub distrusted: AtomicU64,
    /// How often a worker stopped accepting, because the limit was reached and no connection was
    /// idle.
    pub waits: AtomicU64,
    /// Idle connections that were closed for new ones, by [`Limit`].
    pub evicted: [AtomicU64; Limit::ALL.len()],
}

/// A limit at which idle connections are closed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    Address,
    Listener,
    /// The process's limit on file descriptors.
    Descriptors,
}

impl Limit {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Listener, Self::Descriptors];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "connections_per_address",
            Self::Listener => "connections",
            Self::Descriptors => "descriptors",
        }
    }
}
