//! Accepted configuration: every value here was checked, every reference resolved, every default filled in.
//!
//! Nobody checks a model value again. The types are `#[non_exhaustive]`, so only this crate makes them
//! from text; everyone else reads them through `&` or `Arc`. The few public constructors take accepted values. Equality is structural: the registry of what outlives a
//! reload compares model values to decide what may be carried over.

mod app;
mod auth;
mod ext_auth;
mod jwt;
mod listener;
mod operations;
mod rate_limit;
mod retry;
mod route;
mod secret;
mod telemetry;
mod tls;
mod upstream;

pub use crate::block::Percent;
pub use crate::part::cidr::Cidr;
pub use crate::part::claim::{ClaimMatch, ClaimPath};
pub use crate::part::hostname::Hostname;
pub use crate::part::id::{ListenerId, ProviderId, RateLimitId, RouteId, UpstreamId};
pub use crate::part::path::{EncodedSlash, PathTemplate, TemplateSegment};
pub use crate::part::scheme::Scheme;
pub use crate::part::url::{EndpointAddress, EndpointSpec};
pub use crate::part::value_match::{Pattern, ValueMatch};
pub use crate::part::words::{Mode, OnError};
pub use crate::route::header_changes::HeaderChanges;
pub use crate::route::{
    concurrency::Concurrency,
    cors::{Cors, OriginMatch},
    fault::Fault,
    mirror::Mirror,
    timeouts::RouteTimeouts,
};
pub use app::{App, AppAddress, Readiness, ReadinessProbe};
pub use auth::{Auth, Authorize, AuthorizeRule, Credential, Requirement, RuleAction, SanPattern};
pub use ext_auth::ExtAuth;
pub use jwt::{ClaimHeader, JwtAlgorithm, JwtProvider, KeySource, RemoteKeys, TokenBinding, TokenLocation};
pub use listener::{
    Direction, Listener, ListenerAddress, ListenerLimits, ListenerTimeouts, PathRules, UnderscoreHeaders,
};
pub use operations::{Lifecycle, Reload, ServerAddress, Workers};
pub use rate_limit::{RateLimit, RateLimitKey, Redis, Store};
pub use retry::{Backoff, GrpcCode, Hedge, HedgeAfter, Retry, RetryBudget, RetryCondition, RetryMethods};
pub use route::{
    Action, DirectResponse, HeaderMatch, PathMatch, PathRewrite, QueryMatch, Redirect, Route, RouteMatch,
    UrlRewrite, WeightedBackend,
};
pub use secret::{SecretOrigin, SecretSource, SecretText};
pub use telemetry::{AccessLog, AccessLogFormat, Telemetry};
pub use tls::{
    Certificate, ClientAuth, ClientAuthMode, ClientTls, PrivateKey, ServerTls, SniCertificate,
    SubjectAltName, TlsVersion,
};
pub use upstream::{
    CircuitBreaker, ConnectionSettings, DnsKind, HashOn, HealthCheck, LoadBalancer, LoadBalancerPolicy,
    NamedEndpoints, OutlierDetection, Protocol, Upstream, UpstreamKind, UpstreamLimits,
};

/// One whole accepted configuration.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// How many worker threads serve requests.
    pub workers: Workers,
    /// The application in this pod, when the file declares one. It is also the upstream named `app`.
    pub app: Option<App>,
    /// Listeners in file order; at least one.
    pub listeners: Vec<Listener>,
    /// Upstreams: `app` first when there is one, then in file order.
    pub upstreams: Vec<Upstream>,
    /// Token providers in file order.
    pub jwt_providers: Vec<JwtProvider>,
    /// Limits that routes name, in file order.
    pub rate_limits: Vec<RateLimit>,
    /// The server of limits that all pods share.
    pub redis: Option<Redis>,
    /// Routes in file order. A file without routes has one, named `app`, that sends everything to the app.
    pub routes: Vec<Route>,
    /// Access log and metrics.
    pub telemetry: Telemetry,
    /// Where `/livez /readyz /startupz /metrics` are served; `None` for `status: off`.
    pub status: Option<ServerAddress>,
    /// Where the admin server listens, loopback only; `None` for `admin: off`.
    pub admin: Option<ServerAddress>,
    /// When and how the file is read again.
    pub reload: Reload,
    /// Drain and shutdown times.
    pub lifecycle: Lifecycle,
}

impl Config {
    /// The listener with this index.
    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[id.0 as usize]
    }

    /// The upstream with this index.
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }

    /// The token provider with this index.
    pub fn jwt_provider(&self, id: ProviderId) -> &JwtProvider {
        &self.jwt_providers[id.0 as usize]
    }

    /// The limit with this index.
    pub fn rate_limit(&self, id: RateLimitId) -> &RateLimit {
        &self.rate_limits[id.0 as usize]
    }

    /// The route with this index.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }
}
