//! One endpoint: an address in an upstream, with what the workers share about it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use outrigger_config::model::EndpointSpec;
use outrigger_transport::{address::Address, dns};

use super::{
    balance::{failures::Failures, latency::Latency},
    outlier::Outlier,
};

/// One endpoint, shared by all workers.
pub(crate) struct Endpoint {
    /// No other endpoint of this process has it.
    pub id: u32,
    /// Where connections to it go. Its label is what the access log shows.
    pub address: Address,
    /// What its failures led to.
    pub outlier: Outlier,
    /// How many of its last answers were failures.
    pub failures: Failures,
    /// How long its answers take; known with `peakEwma` alone.
    pub latency: Latency,
    unhealthy: AtomicBool,
    /// When it came to the others or came back, in microseconds; 0 when it is one of them long since.
    since: AtomicU64,
    in_flight: AtomicU32,
    connections: AtomicU32,
}

impl Endpoint {
    /// An endpoint as configured; a host name has no address until it was resolved.
    pub(crate) fn new(spec: EndpointSpec) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            id: NEXT.fetch_add(1, Relaxed),
            address: Address::new(spec),
            outlier: Outlier::default(),
            failures: Failures::default(),
            latency: Latency::default(),
            unhealthy: AtomicBool::new(false),
            since: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            connections: AtomicU32::new(0),
        }
    }

    /// Whether nothing speaks against sending requests to it.
    pub(crate) fn is_well(&self) -> bool {
        self.address.is_resolved() && self.is_healthy() && !self.outlier.is_out()
    }

    /// What its last answers to `healthCheck` amount to; true where it is not asked.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Relaxed)
    }

    /// What they amount to from now on.
    pub(super) fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Relaxed);
    }

    /// From now on it is new among the others.
    pub(crate) fn begin_slowly(&self, now: u64) {
        self.since.store(now, Relaxed);
    }

    /// Its share of its weight, from a tenth to 1, when new ones take `window` microseconds to get there.
    pub(crate) fn warmth(&self, window: u64, now: impl FnOnce() -> u64) -> f64 {
        const LEAST: f64 = 0.1;
        let since = self.since.load(Relaxed);
        if since == 0 {
            return 1.0;
        }
        let warmth = now().saturating_sub(since) as f64 / window as f64;
        if warmth >= 1.0 {
            // Unless it has just come back once more.
            let _ = self.since.compare_exchange(since, 0, Relaxed, Relaxed);
        }
        warmth.clamp(LEAST, 1.0)
    }

    /// Requests in flight, over all workers.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Open connections, of all workers; those of health checks are none of them.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// One request more is in flight.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// One less.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

impl dns::Host for Endpoint {
    fn address(&self) -> &Address {
        &self.address
    }
}

/// Counts a connection to an endpoint for as long as it is open.
pub(crate) struct Open(Arc<Endpoint>);

impl Open {
    /// One more.
    pub(crate) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.connections.fetch_add(1, Relaxed);
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
