//! The state of upstreams and their endpoints, read at a scrape.

use std::sync::Arc;

/// The state of an upstream now.
pub(crate) struct Reading {
    /// Its name.
    pub upstream: Arc<str>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointReading>,
    /// Connections, requests, and requests that wait, where that has limits.
    pub in_use: Option<[u32; 3]>,
}

impl Reading {
    /// The endpoints, each with the name of the upstream; one that is in a list twice is shown once.
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

/// The state of an endpoint now.
pub(crate) struct EndpointReading {
    /// As the access log shows it.
    pub endpoint: Arc<str>,
    /// Whether it is ejected.
    pub ejected: bool,
    /// Whether it is healthy; `None` without `healthCheck`.
    pub healthy: Option<bool>,
}
