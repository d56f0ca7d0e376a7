//! Upstreams: named groups of endpoints.

use std::sync::Arc;

use crate::{
    model::{ClientTls, SecretText},
    part::url::EndpointSpec,
    upstream::{
        balance::LoadBalancer, breaker::CircuitBreaker, connections::ConnectionSettings, dns::NamedEndpoints,
        health::HealthCheck, limits::UpstreamLimits, outlier::OutlierDetection, protocol::Protocol,
        retry_budget::RetryBudget,
    },
};

/// A named group of endpoints that a route can send to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    /// Unique name; `app` for the application in this pod.
    pub name: Arc<str>,
    /// The app, or something outside.
    pub kind: UpstreamKind,
    /// At least one; none where `dns` says which there are.
    pub endpoints: Vec<EndpointSpec>,
    /// A name whose answer is the endpoints.
    pub dns: Option<NamedEndpoints>,
    /// What is spoken to the endpoints.
    pub protocol: Protocol,
    /// TLS towards the endpoints; `None`: without.
    pub tls: Option<Arc<ClientTls>>,
    /// Authorization of every request is `Bearer` and this.
    pub bearer_token: Option<SecretText>,
    /// How an endpoint is chosen.
    pub load_balancer: LoadBalancer,
    /// How much may be under way to it; `None` for the app.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How endpoints are asked whether they are well; `None`: not.
    pub health_check: Option<HealthCheck>,
    /// When an endpoint that fails is ejected; `None` for the app, which has no other.
    pub outlier_detection: Option<OutlierDetection>,
    /// Connect, idle and age limits of connections.
    pub connections: ConnectionSettings,
    /// Limits on what an endpoint may send.
    pub limits: UpstreamLimits,
    /// How much is sent a second time.
    pub retry_budget: RetryBudget,
}

impl Upstream {
    /// What Host is on outbound routes.
    pub fn host<'a>(&'a self, endpoint: &'a EndpointSpec) -> &'a str {
        let named = self.tls.as_ref().and_then(|tls| tls.hostname.as_deref());
        named.unwrap_or(&endpoint.authority)
    }

    /// Host and port for requests that come without.
    pub fn authority(&self) -> &str {
        let named = self.dns.as_ref().map(|dns| &*dns.authority);
        named.or_else(|| self.endpoints.first().map(|one| &*one.authority)).unwrap_or("localhost")
    }

    /// Whether the other one is written in the same way, whatever the files hold that it names.
    pub fn same_block(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.same_block(other),
            (None, None) => true,
            _ => false,
        };
        let origin = |upstream: &Self| upstream.bearer_token.as_ref().map(|token| token.origin().cloned());
        let without_files = |upstream: &Self| Self { tls: None, bearer_token: None, ..upstream.clone() };
        tls && origin(self) == origin(other) && without_files(self) == without_files(other)
    }
}

/// The app, or something outside the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// The `app` block.
    App,
    /// An entry of `upstreams`.
    External,
}
