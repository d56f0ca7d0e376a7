//! The file as it is written: one type per block, each reading itself from nodes.
//!
//! A type here knows keys, types and ranges of single values. It reads no files, fills in no defaults
//! and resolves no references; that is `validate`. The doc comments are the descriptions that editors
//! show, so each says meaning, unit, default and range.

mod app;
mod auth;
mod file;
mod jwt;
mod listener;
mod operations;
mod rate_limit;
mod retry;
mod route;
mod secret;
mod tls;
mod upstream;
mod words;

pub(crate) use app::{AppBlock, ReadinessBlock};
pub(crate) use auth::{AuthBlock, AuthValue, AuthorizeBlock, ExtAuthBlock, RuleBlock, WhenBlock};
pub(crate) use file::File;
pub use file::json_schema;
pub(crate) use jwt::{CredentialsBlock, JwksBlock, JwtProviderBlock, TokenLocationBlock};
pub(crate) use listener::{
    ClientAddressBlock, LimitsBlock, ListenerBlock, ListenerTimeoutsBlock, PathsBlock,
};
pub(crate) use operations::{LifecycleBlock, ReloadBlock, ServerOrOff, TelemetryBlock, WorkersValue};
pub(crate) use rate_limit::{RateLimitBlock, RateLimitKeyBlock, RedisBlock};
pub(crate) use retry::{
    AfterValue, BackoffBlock, HedgeBlock, MethodSet, MethodsValue, RetryBlock, RetryBudgetBlock,
};
pub(crate) use route::{
    BackendRefBlock, DefaultsBlock, DirectResponseBlock, MatchBlock, PathMatchBlock, PathRewriteBlock,
    RedirectBlock, RouteBlock, UrlRewriteBlock,
};
pub(crate) use secret::{SecretRef, SecretSpec};
pub(crate) use tls::{ClientAuthBlock, SniBlock, TlsBlock, UpstreamTlsBlock};
pub(crate) use upstream::{
    CircuitBreakerBlock, ConnectionsBlock, DnsBlock, EndpointBlock, HashOnBlock, HealthCheckBlock,
    LoadBalancerBlock, OutlierDetectionBlock, UpstreamBlock, UpstreamLimitsBlock,
};
pub(crate) use words::{DnsType, PlainKey, SharedStore};
