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
    /// Times that a worker waited with the next one, because there were too many.
    pub waits: AtomicU64,
}
