//! Accepted configuration: every value was validated, every reference resolved, every default
//! filled in.
//!
//! Other code does not validate a model value again. The types are `#[non_exhaustive]`, so only
//! this crate creates them from text; other crates use them through `&` or `Arc`. The few public
//! constructors take validated values. Equality is structural: at a reload, the registry compares
//! model values to decide which state is kept. Each type is in the file of its block; this module
//! is what other crates see of them.

pub use crate::app::{App, AppAddress, Readiness};
pub use crate::block::Percent;
pub use crate::file::Config;
pub use crate::lifecycle::Lifecycle;
pub use crate::listener::direction::Direction;
pub use crate::listener::limits::ListenerLimits;
pub use crate::listener::paths::PathRules;
pub use crate::listener::timeouts::ListenerTimeouts;
pub use crate::listener::tls::{ClientAuth, ClientAuthMode, ServerTls, SniCertificate, TlsVersion};
pub use crate::listener::{Listener, ListenerAddress, UnderscoreHeaders};
pub use crate::logs::Logs;
pub use crate::logs::buffer::{LogBuffer, WhenFull};
pub use crate::logs::sink::{Compression, LogCredentials, LogServer, LogSink, LogSinkKind};
pub use crate::logs::source::{LineJoin, LogFormat, LogRule, LogSource, Multiline, StartAt};
pub use crate::monitor::Monitor;
pub use crate::monitor::checks::{Check, CheckKind};
pub use crate::monitor::process::{ProcessSelect, Processes};
pub use crate::monitor::push::OtlpPush;
pub use crate::monitor::scrape::Scrape;
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
pub use crate::route::Route;
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
