//! One address to connect to: a socket address, a host name with its resolved addresses, or a Unix
//! socket.

mod last;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use outrigger_config::model::{EndpointAddress, EndpointSpec};

pub use self::last::{Last, LastLookup};

/// One address, shared by all threads that connect to it.
pub struct Address {
    /// As configured.
    pub spec: EndpointSpec,
    /// As log lines show it: `host:port`, or the path of a Unix socket.
    pub label: Arc<str>,
    target: Target,
    /// For a host name: its last lookup.
    pub lookup: LastLookup,
}

enum Target {
    /// A fixed address. Separate, so that requests need not load a replaceable list.
    Address(SocketAddr),
    /// The addresses of a host name.
    Addresses {
        known: ArcSwap<Vec<SocketAddr>>,
        next: AtomicUsize,
    },
    Unix(Arc<PathBuf>),
}

/// What to connect to.
pub enum ConnectTo {
    /// These addresses in this order, until one accepts.
    Tcp(Vec<SocketAddr>),
    /// This Unix socket.
    Unix(Arc<PathBuf>),
}

impl Address {
    /// An address as configured. A host name has no addresses until it is resolved.
    pub fn new(spec: EndpointSpec) -> Self {
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
        Self {
            spec,
            label,
            target,
            lookup: LastLookup::default(),
        }
    }

    /// Whether `spec` has the same address. The weight is not compared, since it belongs to the
    /// endpoint set.
    pub fn is_at(&self, spec: &EndpointSpec) -> bool {
        self.spec.address == spec.address && self.spec.authority == spec.authority
    }

    /// Whether there is at least one address to connect to.
    #[inline]
    pub fn is_resolved(&self) -> bool {
        match &self.target {
            Target::Addresses { known, .. } => !known.load().is_empty(),
            Target::Address(_) | Target::Unix(_) => true,
        }
    }

    /// Whether it is a host name.
    pub fn needs_dns(&self) -> bool {
        matches!(self.spec.address, EndpointAddress::Host { .. })
    }

    /// What the next connection uses: all addresses, starting with a different one each time.
    pub fn connect_to(&self) -> ConnectTo {
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

    /// The addresses of a host name; empty for other kinds.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match &self.target {
            Target::Addresses { known, .. } => known.load().as_ref().clone(),
            Target::Address(_) | Target::Unix(_) => Vec::new(),
        }
    }

    /// Replaces the addresses of a host name; returns whether they changed.
    pub fn resolved(&self, mut addresses: Vec<SocketAddr>) -> bool {
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
    #[inline]
    pub fn still_has(&self, address: Option<SocketAddr>) -> bool {
        match (&self.target, address) {
            (Target::Addresses { known, .. }, Some(address)) => known.load().contains(&address),
            _ => true,
        }
    }
}
