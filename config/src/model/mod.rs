//! Accepted configuration: every value here was checked, every reference resolved, every default filled in.
//!
//! Nobody checks a model value again. The types are `#[non_exhaustive]`, so only this crate makes them
//! from text; everyone else reads them through `&` or `Arc`. The few public constructors take accepted values. Equality is structural: the registry of what outlives a
//! reload compares model values to decide what may be carried over.

mod route;

pub use crate::app::{App, AppAddress, Readiness};
pub use crate::block::Percent;
pub use crate::lifecycle::Lifecycle;
pub use crate::listener::direction::Direction;
pub use crate::listener::limits::ListenerLimits;
pub use crate::listener::paths::PathRules;
pub use crate::listener::timeouts::ListenerTimeouts;
pub use crate::listener::tls::{ClientAuth, ClientAuthMode, ServerTls, SniCertificate, TlsVersion};
pub use crate::listener::{Listener, ListenerAddress, UnderscoreHeaders};
pub use crate::part::algorithm::JwtAlgorithm;
pub use crate::part::cidr::Cidr;
pub use crate::part::claim::{ClaimMatch, ClaimPath};
pub use crate::part::hash_on::HashOn;
pub use crate::part::hostname::Hostname;
pub use crate::part::id::{ListenerId, ProviderId, RateLimitId, RouteId, UpstreamId};
pub use crate::part::path::{EncodedSlash, PathTemplate, TemplateSegment};
pub use crate::part::probe::ReadinessProbe;
pub use crate::part::scheme::Scheme;
pub use crate::part::url::{EndpointAddress, EndpointSpec};
pub use crate::part::value_match::{Pattern, ValueMatch};
pub use crate::part::words::{Mode, OnError};
pub use crate::provider::claim_headers::ClaimHeader;
pub use crate::provider::keys::{KeySource, RemoteKeys};
pub use crate::provider::location::TokenLocation;
pub use crate::provider::{JwtProvider, TokenBinding};
pub use crate::rate_limit::{RateLimit, RateLimitKey, Store};
pub use crate::redis::Redis;
pub use crate::reloading::Reload;
pub use crate::route::action::Action;
pub use crate::route::auth::{Auth, Credential, Requirement};
pub use crate::route::authorize::{Authorize, AuthorizeRule, RuleAction, SanPattern};
pub use crate::route::backends::WeightedBackend;
pub use crate::route::ext_auth::ExtAuth;
pub use crate::route::header_changes::HeaderChanges;
pub use crate::route::hedge::{Hedge, HedgeAfter};
pub use crate::route::matches::{HeaderMatch, PathMatch, QueryMatch, RouteMatch};
pub use crate::route::redirect::Redirect;
pub use crate::route::response::DirectResponse;
pub use crate::route::retry::{Backoff, GrpcCode, Retry, RetryCondition, RetryMethods};
pub use crate::route::rewrite::{PathRewrite, UrlRewrite};
pub use crate::route::{
    concurrency::Concurrency,
    cors::{Cors, OriginMatch},
    fault::Fault,
    mirror::Mirror,
    timeouts::RouteTimeouts,
};
pub use crate::secret::{SecretOrigin, SecretSource, SecretText};
pub use crate::server::ServerAddress;
pub use crate::telemetry::{AccessLog, AccessLogFormat, Telemetry};
pub use crate::tls::certificate::{Certificate, PrivateKey};
pub use crate::tls::client::{ClientTls, SubjectAltName};
pub use crate::upstream::balance::{LoadBalancer, LoadBalancerPolicy};
pub use crate::upstream::breaker::CircuitBreaker;
pub use crate::upstream::connections::ConnectionSettings;
pub use crate::upstream::dns::{DnsKind, NamedEndpoints};
pub use crate::upstream::health::HealthCheck;
pub use crate::upstream::limits::UpstreamLimits;
pub use crate::upstream::outlier::OutlierDetection;
pub use crate::upstream::protocol::Protocol;
pub use crate::upstream::retry_budget::RetryBudget;
pub use crate::upstream::{Upstream, UpstreamKind};
pub use crate::workers::Workers;
pub use route::Route;

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
