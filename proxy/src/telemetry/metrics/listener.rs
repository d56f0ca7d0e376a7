//! What happens between clients and one listener.

use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::telemetry::handshakes::HandshakeCounters;

/// Connections of one listener, over all workers.
#[derive(Default)]
pub(crate) struct ListenerCounters {
    /// Open now.
    pub open: AtomicI64,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// TLS handshakes.
    pub handshakes: HandshakeCounters,
    /// Live connections that a change of trust ended.
    pub distrusted: AtomicU64,
    /// Times that a worker waited with the next one, because there were too many and none was idle.
    pub waits: AtomicU64,
    /// Idle ones closed to make room for others, by [`Limit`].
    pub evicted: [AtomicU64; Limit::ALL.len()],
}

/// A limit at which idle connections are closed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// `limits.connectionsPerAddress`.
    Address,
    /// `limits.connections`.
    Listener,
    /// What the system grants.
    Descriptors,
}

impl Limit {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Listener, Self::Descriptors];

    /// The label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "connections_per_address",
            Self::Listener => "connections",
            Self::Descriptors => "descriptors",
        }
    }
}
