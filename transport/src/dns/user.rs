//! What names are looked up for, and where their answers go.

use std::sync::Arc;

use outrigger_config::model::{EndpointSpec, NamedEndpoints};

use crate::address::{Address, LastLookup};

/// A name to look up, and where that is counted.
pub struct Name {
    /// What it is looked up for.
    pub user: User,
    /// Counters of its upstream, where it belongs to one.
    pub counters: Option<Arc<dyn Counters>>,
}

/// What a name is looked up for.
#[derive(Clone)]
pub enum User {
    /// A host name in a URL: it gets the addresses.
    Host(Arc<dyn Host>),
    /// A set of endpoints that a name stands for.
    Endpoints(Arc<dyn Endpoints>),
}

/// An address whose host name is looked up.
pub trait Host: Send + Sync {
    /// The address.
    fn address(&self) -> &Address;
}

impl Host for Address {
    fn address(&self) -> &Address {
        self
    }
}

/// A set of endpoints that a name stands for.
pub trait Endpoints: Send + Sync {
    /// How log lines name it.
    fn label(&self) -> &Arc<str>;

    /// The name, and what its answers mean; `None` where no name is to be looked up.
    fn named(&self) -> Option<&NamedEndpoints>;

    /// Where the last lookup is noted.
    fn lookup(&self) -> &LastLookup;

    /// From now on these are the endpoints.
    fn replace(&self, endpoints: &[EndpointSpec]);
}

/// Counts lookups.
pub trait Counters: Send + Sync {
    /// A lookup ended.
    fn looked_up(&self, result: LookupResult);
}

/// How a lookup of a name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupResult {
    /// With addresses.
    Ok,
    /// There is no such name, or it has none.
    NotFound,
    /// No server answered in time.
    Timeout,
    /// Servers failed or cannot be understood.
    Failed,
}

impl LookupResult {
    /// All of them in their order, with the word for each.
    pub const ALL: [(Self, &str); 4] = [
        (Self::Ok, "ok"),
        (Self::NotFound, "not_found"),
        (Self::Timeout, "timeout"),
        (Self::Failed, "failed"),
    ];
}

impl User {
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host(one), Self::Host(other)) => Arc::ptr_eq(one, other),
            (Self::Endpoints(one), Self::Endpoints(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// How log lines name it.
    pub(super) fn label(&self) -> Arc<str> {
        match self {
            Self::Host(host) => Arc::clone(&host.address().label),
            Self::Endpoints(endpoints) => Arc::clone(endpoints.label()),
        }
    }

    /// Where the last lookup is noted.
    pub(super) fn last(&self) -> &LastLookup {
        match self {
            Self::Host(host) => &host.address().lookup,
            Self::Endpoints(endpoints) => endpoints.lookup(),
        }
    }
}
