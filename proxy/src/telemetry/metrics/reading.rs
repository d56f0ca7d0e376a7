//! The state of upstreams and their endpoints, read at a scrape.

use std::sync::Arc;

/// The current state of an upstream.
pub(crate) struct Reading {
    pub upstream: Arc<str>,
    pub endpoints: Vec<EndpointReading>,
    /// Connections, requests, and waiting requests, where there are limits.
    pub in_use: Option<[u32; 3]>,
}

impl Reading {
    /// The endpoints, each with the name of the upstream; a repeated one is rendered once.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &EndpointReading)> {
        let is_first = |&(index, one): &(usize, &EndpointReading)| {
            !self.endpoints[..index]
                .iter()
                .any(|earlier| earlier.endpoint == one.endpoint)
        };
        self.endpoints
            .iter()
            .enumerate()
            .filter(is_first)
            .map(|(_, one)| (&*self.upstream, one))
    }
}

/// The current state of an endpoint.
pub(crate) struct EndpointReading {
    /// As the access log shows it.
    pub endpoint: Arc<str>,
    pub ejected: bool,
    /// Whether it is healthy; `None` without `healthCheck`.
    pub healthy: Option<bool>,
}
