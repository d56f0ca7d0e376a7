//! One endpoint: an address in an upstream, and the state that the workers share about it.

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
    /// Unique in this process.
    pub id: u32,
    /// The address of its connections. The access log shows its label.
    pub address: Address,
    /// Outlier detection: its failures and ejections.
    pub outlier: Outlier,
    /// Failure rate of its last responses.
    pub failures: Failures,
    /// Response times; measured with `peakEwma` only.
    pub latency: Latency,
    unhealthy: AtomicBool,
    /// Start of its slow start, in microseconds; 0 after the slow start.
    since: AtomicU64,
    in_flight: AtomicU32,
    connections: AtomicU32,
}

impl Endpoint {
    /// An endpoint as configured. A host name has no address until it is resolved.
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

    /// Whether it may get requests: healthy, not ejected, and with an address.
    pub(crate) fn is_usable(&self) -> bool {
        self.address.is_resolved() && self.is_healthy() && !self.outlier.is_out()
    }

    /// The result of its health checks; true without `healthCheck`.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Relaxed)
    }

    /// Sets the result of its health checks.
    pub(super) fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Relaxed);
    }

    /// Starts its slow start.
    pub(crate) fn begin_slowly(&self, now: u64) {
        self.since.store(now, Relaxed);
    }

    /// Its share of its weight, from 0.1 to 1, during a slow start of `window` microseconds.
    pub(crate) fn warmth(&self, window: u64, now: impl FnOnce() -> u64) -> f64 {
        const LEAST: f64 = 0.1;
        let since = self.since.load(Relaxed);
        if since == 0 {
            return 1.0;
        }
        let warmth = now().saturating_sub(since) as f64 / window as f64;
        if warmth >= 1.0 {
            // Fails when the endpoint has just begun another slow start, which must stay.
            let _ = self.since.compare_exchange(since, 0, Relaxed, Relaxed);
        }
        warmth.clamp(LEAST, 1.0)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Open connections of all workers, without those of health checks.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Counts one more request in flight.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Counts one less.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

impl dns::Host for Endpoint {
    fn address(&self) -> &Address {
        &self.address
    }
}

/// Counts a connection to an endpoint while it is open.
pub(crate) struct Open(Arc<Endpoint>);

impl Open {
    /// Counts one more open connection.
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
