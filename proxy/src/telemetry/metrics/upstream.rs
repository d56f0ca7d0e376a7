//! Metrics of the connections and requests to one upstream.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use outrigger_filters::retry::RetryReason;
use outrigger_transport::{
    dns::{self, LookupResult},
    tls::client::ServerFailure,
};

use crate::telemetry::{
    events::{EndpointEvent, Events},
    handshakes::HandshakeCounters,
};

/// Counters of one upstream, of all workers; written when connections change.
#[derive(Default)]
pub(crate) struct UpstreamCounters {
    pub handshakes: HandshakeCounters<ServerFailure>,
    pub(super) name: Arc<str>,
    pub(super) events: Option<Events<EndpointEvent>>,
    pub(super) connects: [AtomicU64; 2],
    pub(super) retries: [AtomicU64; RetryReason::ALL.len()],
    pub(super) budget_exhausted: AtomicU64,
    pub(super) hedges: [AtomicU64; 2],
    pub(super) ejections: AtomicU64,
    pub(super) overflows: [AtomicU64; 2],
    pub(super) health_checks: [AtomicU64; 2],
    pub(super) lookups: [AtomicU64; LookupResult::ALL.len()],
}

impl UpstreamCounters {
    /// Counts a connect.
    pub(crate) fn connected(&self, ok: bool) {
        self.connects[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// Counts a retry.
    pub(crate) fn retried(&self, reason: RetryReason) {
        self.retries[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a retry that the budget did not allow.
    pub(crate) fn budget_exhausted(&self) {
        self.budget_exhausted.fetch_add(1, Relaxed);
    }

    /// Counts a hedged attempt that ended.
    pub(crate) fn hedged(&self, won: bool) {
        self.hedges[usize::from(!won)].fetch_add(1, Relaxed);
    }

    /// Counts a request that the circuit breaker rejected: too many in flight, or too many waiting
    /// for a connection.
    pub(crate) fn overflowed(&self, waits: bool) {
        self.overflows[usize::from(waits)].fetch_add(1, Relaxed);
    }

    /// Counts a health check.
    pub(crate) fn health_checked(&self, ok: bool) {
        self.health_checks[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// Counts an ejection.
    pub(crate) fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Reports a change of an endpoint to the operational log.
    pub(crate) fn report(&self, endpoint: &Arc<str>, text: String) {
        if let Some(events) = &self.events {
            events.report(EndpointEvent {
                upstream: Arc::clone(&self.name),
                endpoint: Arc::clone(endpoint),
                text,
            });
        }
    }
}

impl dns::Counters for UpstreamCounters {
    fn looked_up(&self, result: LookupResult) {
        self.lookups[result as usize].fetch_add(1, Relaxed);
    }
}
