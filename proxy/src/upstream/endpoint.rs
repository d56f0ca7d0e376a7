//! One endpoint: an address in an upstream, with what the workers share about it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use outrigger_config::model::{EndpointAddress, EndpointSpec};

use super::{
    balance::{failures::Failures, latency::Latency},
    dns::last::LastLookup,
    outlier::Outlier,
};

/// One endpoint, shared by all workers.
pub(crate) struct Endpoint {
    /// No other endpoint of this process has it.
    pub id: u32,
    /// As configured.
    pub spec: EndpointSpec,
    /// As the access log shows it: `host:port`, or the path of a Unix socket.
    pub label: Arc<str>,
    /// What its failures led to.
    pub outlier: Outlier,
    /// How many of its last answers were failures.
    pub failures: Failures,
    /// How long its answers take; known with `peakEwma` alone.
    pub latency: Latency,
    unhealthy: AtomicBool,
    /// When it came to the others or came back, in microseconds; 0 when it is one of them long since.
    since: AtomicU64,
    target: Target,
    in_flight: AtomicU32,
    connections: AtomicU32,
    /// Where it is a host name: when that was last looked up.
    pub lookup: LastLookup,
}

enum Target {
    /// One that never changes, so that requests need not look at what may be replaced.
    Address(SocketAddr),
    /// Those of a name.
    Addresses {
        known: ArcSwap<Vec<SocketAddr>>,
        next: AtomicUsize,
    },
    Unix(Arc<PathBuf>),
}

/// What a connect goes to.
pub(crate) enum ConnectTo {
    /// These, in this order, until one accepts.
    Tcp(Vec<SocketAddr>),
    /// This socket.
    Unix(Arc<PathBuf>),
}

impl Endpoint {
    /// An endpoint as configured; a host name has no address until it was resolved.
    pub(crate) fn new(spec: EndpointSpec) -> Self {
        let (target, label): (Target, Arc<str>) = match &spec.address {
            EndpointAddress::Socket(address) => {
                (Target::Address(*address), address.to_string().into())
            }
            EndpointAddress::Host { name, port } => {
                let target = Target::Addresses {
                    known: ArcSwap::default(),
                    next: AtomicUsize::new(0),
                };
                (target, format!("{name}:{port}").into())
            }
            EndpointAddress::Unix(path) => (
                Target::Unix(path.clone()),
                path.display().to_string().into(),
            ),
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            id: NEXT.fetch_add(1, Relaxed),
            spec,
            label,
            target,
            outlier: Outlier::default(),
            failures: Failures::default(),
            latency: Latency::default(),
            unhealthy: AtomicBool::new(false),
            since: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            lookup: LastLookup::default(),
        }
    }

    /// Whether `spec` names it; its weight is the affair of the set it stands in.
    pub(crate) fn is_at(&self, spec: &EndpointSpec) -> bool {
        self.spec.address == spec.address && self.spec.authority == spec.authority
    }

    /// Whether there is somewhere to connect to.
    pub(crate) fn has_address(&self) -> bool {
        match &self.target {
            Target::Addresses { known, .. } => !known.load().is_empty(),
            Target::Address(_) | Target::Unix(_) => true,
        }
    }

    /// Whether nothing speaks against sending requests to it.
    pub(crate) fn is_well(&self) -> bool {
        self.has_address() && self.is_healthy() && !self.outlier.is_out()
    }

    /// What its last answers to `healthCheck` amount to; true where it is not asked.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Relaxed)
    }

    /// What they amount to from now on.
    pub(super) fn set_healthy(&self, healthy: bool) {
        self.unhealthy.store(!healthy, Relaxed);
    }

    /// Whether it is a host name.
    pub(crate) fn needs_dns(&self) -> bool {
        matches!(self.spec.address, EndpointAddress::Host { .. })
    }

    /// Where the next connection goes: every address, beginning with another one each time.
    pub(crate) fn connect_to(&self) -> ConnectTo {
        match &self.target {
            Target::Addresses { known, next } => {
                let mut addresses = known.load().as_ref().clone();
                let count = addresses.len().max(1);
                addresses.rotate_left(next.fetch_add(1, Relaxed) % count);
                ConnectTo::Tcp(addresses)
            }
            Target::Address(address) => ConnectTo::Tcp(vec![*address]),
            Target::Unix(path) => ConnectTo::Unix(path.clone()),
        }
    }

    /// The addresses of a host name; none where it is none.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match &self.target {
            Target::Addresses { known, .. } => known.load().as_ref().clone(),
            Target::Address(_) | Target::Unix(_) => Vec::new(),
        }
    }

    /// Replaces the addresses of a host name; says whether they changed.
    pub(crate) fn resolved(&self, mut addresses: Vec<SocketAddr>) -> bool {
        let Target::Addresses { known, .. } = &self.target else {
            return false;
        };
        addresses.sort_unstable();
        addresses.dedup();
        let changed = **known.load() != addresses;
        if changed {
            known.store(Arc::new(addresses));
        }
        changed
    }

    /// Whether a connection to `address` may still be used.
    pub(crate) fn still_has(&self, address: Option<SocketAddr>) -> bool {
        match (&self.target, address) {
            (Target::Addresses { known, .. }, Some(address)) => known.load().contains(&address),
            _ => true,
        }
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
