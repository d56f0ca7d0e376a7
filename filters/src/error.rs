//! Why the proxy and not the upstream responds to a request: one closed set for the whole chain.
//!
//! A variant contains what happened to one request; the row of its [`Reason`] defines the
//! consequences: status, flag, message and headers. `proxy::respond` is the only place that turns
//! an error into a response.

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use http::StatusCode;

use crate::reason::{Effect, Flag, Reason};

/// The underlying error of an upstream failure, for the log.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why the upstream did not respond to a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed or ambiguous.
    #[error("malformed request: {}", .0.as_str())]
    Malformed(Reason),
    /// CONNECT, which a reverse proxy does not serve.
    #[error("CONNECT is not served")]
    Connect,
    /// Too many header fields, or too many bytes of them.
    #[error("request headers over the limit")]
    HeadersTooLarge,
    /// A target over `limits.targetBytes`.
    #[error("request target over the limit")]
    TargetTooLong,
    /// A body over `limits.bodyBytes`.
    #[error("request body over the limit")]
    BodyTooLarge,
    /// No byte of the request body for `timeouts.bodyIdle`, before the response head.
    #[error("request body idle for too long")]
    BodyIdle,
    /// The certificate for the host of the request differs from the one of the handshake's server
    /// name.
    #[error("the host has another certificate than the server name (SNI) of the connection")]
    Misdirected,
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// No token, or a rejected one; the reason is `auth.…`.
    #[error("not authenticated: {}", .0.as_str())]
    Unauthenticated(Reason),
    /// The client is not allowed to do this; the reason is `auth.…`, `authorize.…` or `ext_auth.…`.
    #[error("not allowed: {}", .0.as_str())]
    Forbidden(Reason),
    /// No key to verify a token with was ever loaded, or the last ones are too old.
    #[error("no keys of provider {provider}")]
    NoKeys {
        /// The provider.
        provider: std::sync::Arc<str>,
    },
    /// The `extAuth` service did not respond.
    #[error("external authorization failed: {0}")]
    ExtAuthFailed(Cause),
    /// A rate limit; the client should wait.
    #[error("{}; not before {retry_after:?}", .reason.as_str())]
    TryLater {
        /// The limit that was exceeded.
        reason: Reason,
        /// When the client may retry.
        retry_after: Duration,
    },
    /// The server of shared rate limits did not respond.
    #[error("the server of shared rate limits did not respond")]
    RateLimitUnavailable,
    /// The concurrency limit of the route is reached, and the queue is full or the wait timed out.
    #[error("concurrency limit of the route reached")]
    ConcurrencyFull,
    /// `fault` aborted the request.
    #[error("fault injected: {0}")]
    FaultInjected(StatusCode),
    /// No endpoint has an address.
    #[error("no endpoint in upstream {upstream}: {state}")]
    NoEndpoint {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// How many endpoints there are.
        state: Box<str>,
    },
    /// `circuitBreaker` permits no more requests.
    #[error("upstream {upstream} is full: {state}")]
    Overloaded {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// [`Reason::UpstreamMaxRequests`] or [`Reason::UpstreamMaxPendingRequests`].
        reason: Reason,
        /// The requests in flight, as numbers.
        state: Box<str>,
    },
    /// All endpoints are ejected or unhealthy.
    #[error("no healthy endpoint in upstream {upstream}: {state}")]
    NoHealthyEndpoint {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// Why each of them is unavailable, as numbers.
        state: Box<str>,
    },
    /// No connection could be made.
    #[error("connect to {endpoint} failed: {cause}")]
    ConnectFailed {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// [`Reason::UpstreamConnectFailed`], or `upstream.tls_…`.
        reason: Reason,
        /// The underlying error.
        cause: Cause,
    },
    /// The upstream closed or reset the connection.
    #[error("{endpoint} closed the connection: {cause}")]
    UpstreamClosed {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// The underlying error.
        cause: Cause,
    },
    /// The upstream's response is malformed or ambiguous.
    #[error("{endpoint} broke the protocol: {cause}")]
    UpstreamProtocol {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// The underlying error.
        cause: Cause,
    },
    /// The deadline of the gRPC call (`grpc-timeout`) has passed.
    #[error("the call's deadline has passed")]
    GrpcTimeout,
    /// `timeouts.request`.
    #[error("no response head within the request timeout")]
    RequestTimeout,
    /// `timeouts.backendRequest`.
    #[error("no response head within the timeout of an attempt")]
    BackendTimeout,
    /// Neither body made progress for `timeouts.streamIdle`; the head was already sent, so the
    /// stream is aborted.
    #[error("response body idle for too long")]
    StreamIdle,
    /// On an upgraded connection no byte for `timeouts.upgradeIdle` in either direction; it is closed.
    #[error("upgraded connection idle for too long")]
    UpgradeIdle,
    /// The client closed or lost the connection.
    #[error("client went away: {0}")]
    ClientGone(Cause),
}

impl Error {
    /// The underlying error of an upstream failure.
    pub fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::UpstreamClosed { cause, .. } | Self::UpstreamProtocol { cause, .. } => {
                Some(&**cause)
            }
            _ => None,
        }
    }

    /// The reason for the access log and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(reason) | Self::Unauthenticated(reason) | Self::Forbidden(reason) => {
                *reason
            }
            Self::Connect => Reason::RequestConnect,
            Self::HeadersTooLarge => Reason::LimitHeaders,
            Self::TargetTooLong => Reason::LimitTarget,
            Self::BodyTooLarge => Reason::LimitBody,
            Self::BodyIdle => Reason::TimeoutBodyIdle,
            Self::Misdirected => Reason::TlsMisdirected,
            Self::NoRoute => Reason::RouteNone,
            Self::NoKeys { .. } => Reason::AuthNoKeys,
            Self::RateLimitUnavailable => Reason::RateLimitUnavailable,
            Self::ConcurrencyFull => Reason::ConcurrencyFull,
            Self::FaultInjected(_) => Reason::FaultAbort,
            Self::ExtAuthFailed(_) => Reason::ExtAuthFailed,
            Self::NoEndpoint { .. } => Reason::UpstreamNoEndpoint,
            Self::NoHealthyEndpoint { .. } => Reason::UpstreamNoneHealthy,
            Self::TryLater { reason, .. }
            | Self::Overloaded { reason, .. }
            | Self::ConnectFailed { reason, .. } => *reason,
            Self::UpstreamClosed { .. } => Reason::UpstreamClosed,
            Self::UpstreamProtocol { .. } => Reason::UpstreamProtocol,
            Self::GrpcTimeout => Reason::TimeoutGrpc,
            Self::RequestTimeout => Reason::TimeoutRequest,
            Self::BackendTimeout => Reason::TimeoutBackendRequest,
            Self::StreamIdle => Reason::TimeoutStreamIdle,
            Self::UpgradeIdle => Reason::TimeoutUpgradeIdle,
            Self::ClientGone(_) => Reason::ClientGone,
        }
    }

    /// The status of the response: that of the reason, except for the few errors with a status of
    /// their own.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::FaultInjected(status) => *status,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            other => other.reason().status().unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    /// The effect of the response besides its status and message.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unauthenticated(_) => Effect::InvalidToken,
            other => other.reason().effect(),
        }
    }

    /// How long the client should wait, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TryLater { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The response flag.
    pub fn flag(&self) -> Flag {
        self.reason().flag()
    }

    /// The message for the client.
    pub fn message(&self) -> &'static str {
        self.reason().message()
    }

    /// Details of the reason, numbers or what was wrong, only for the access log; few errors have
    /// any.
    pub fn detail(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NoEndpoint { state, .. }
            | Self::NoHealthyEndpoint { state, .. }
            | Self::Overloaded { state, .. } => Some((&**state).into()),
            Self::UpstreamProtocol { cause, .. } => Some(cause.to_string().into()),
            _ => None,
        }
    }
}
