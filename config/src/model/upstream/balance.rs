//! How an endpoint is chosen.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

/// How an endpoint is chosen, and when choosing ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// By what.
    pub policy: LoadBalancerPolicy,
    /// What `consistentHash` hashes; there with that policy alone.
    pub hash_on: Option<HashOn>,
    /// For how long an endpoint that is new, or back again, takes less than its share. Off by default.
    pub slow_start: Option<Duration>,
    /// When fewer of 100 endpoints than this are well, all are used. Default 50; 0 never.
    pub panic_percent: u8,
}

/// By what an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadBalancerPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// Whose turn it is by weight, unless one that is drawn beside it is less busy. The default.
    LeastRequest,
    /// The same by how long answers take and how many are awaited.
    PeakEwma,
    /// At random, by weight.
    Random,
    /// The same for requests that are alike.
    ConsistentHash,
}

/// What `consistentHash` hashes. A request without it goes anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The values of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(Arc<str>),
    /// The client's address.
    ClientIp,
}
