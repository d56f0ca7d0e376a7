//! What names are looked up for, and who receives the results.

use std::sync::Arc;

use outrigger_config::model::{EndpointSpec, NamedEndpoints};

use crate::address::{Address, LastLookup};

/// A name to look up, and its counters.
pub struct Name {
    /// Who receives the result.
    pub user: User,
    /// Counters of its upstream, if it belongs to one.
    pub counters: Option<Arc<dyn Counters>>,
}

/// What a name is looked up for.
#[derive(Clone)]
pub enum User {
    /// A host name in a URL, which receives the addresses.
    Host(Arc<dyn Host>),
    /// A set of endpoints that comes from a name.
    Endpoints(Arc<dyn Endpoints>),
}

/// An address with a host name.
pub trait Host: Send + Sync {
    /// The address.
    fn address(&self) -> &Address;
}

impl Host for Address {
    fn address(&self) -> &Address {
        self
    }
}

/// A set of endpoints that comes from a name.
pub trait Endpoints: Send + Sync {
    /// Its name in log lines.
    fn label(&self) -> &Arc<str>;

    /// The name, and how its records become endpoints; `None` where no name is to be looked up.
    fn named(&self) -> Option<&NamedEndpoints>;

    /// The state of its last lookup.
    fn lookup(&self) -> &LastLookup;

    /// Replaces the endpoints.
    fn replace(&self, endpoints: &[EndpointSpec]);
}

/// Counts lookups.
pub trait Counters: Send + Sync {
    /// Counts one lookup with its result.
    fn looked_up(&self, result: LookupResult);
}

/// The result of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupResult {
    /// At least one address.
    Ok,
    /// The name does not exist, or has no address.
    NotFound,
    /// No server responded in time.
    Timeout,
    /// The servers failed, or their response is invalid.
    Failed,
}

impl LookupResult {
    /// All variants in order, with their label values.
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

    /// Its name in log lines.
    pub(super) fn label(&self) -> Arc<str> {
        match self {
            Self::Host(host) => Arc::clone(&host.address().label),
            Self::Endpoints(endpoints) => Arc::clone(endpoints.label()),
        }
    }

    /// The state of its last lookup.
    pub(super) fn last(&self) -> &LastLookup {
        match self {
            Self::Host(host) => &host.address().lookup,
            Self::Endpoints(endpoints) => endpoints.lookup(),
        }
    }
}
