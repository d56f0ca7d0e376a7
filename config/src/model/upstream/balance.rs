//! How an endpoint is chosen.

/// How an endpoint is chosen, and when choosing ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// By what.
    pub policy: LoadBalancerPolicy,
    /// When fewer of 100 endpoints than this are well, all are used. Default 50; 0 never.
    pub panic_percent: u8,
}

/// By what an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadBalancerPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// The less busy of two drawn at random by weight. The default.
    LeastRequest,
    /// At random, by weight.
    Random,
}
