//! Why a request was not answered by its upstream: one closed set for the whole chain.
//!
//! A variant holds what happened to one request; the line of its [`Reason`] says what follows from it: status, flag,
//! message and headers. `proxy::respond` is the only place that turns an error into a response.

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use http::StatusCode;

use crate::reason::{Effect, Flag, Reason};

/// What lies behind an upstream failure, for the log.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a request was not answered by its upstream.
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
    /// The host of the request has another certificate than the server name of the handshake.
    #[error("the host has another certificate than the server name that the client asked for")]
    Misdirected,
    /// No route matches.
    #[error("no route matches")]
    NoRoute,
    /// No token, or one that is rejected; the reason is `auth.…`.
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
    /// The service of `extAuth` gave no answer.
    #[error("external authorization failed: {0}")]
    ExtAuthFailed(Cause),
    /// Not before some time has passed.
    #[error("{}; not before {retry_after:?}", .reason.as_str())]
    TryLater {
        /// Why.
        reason: Reason,
        /// When the client may try again.
        retry_after: Duration,
    },
    /// Who keeps the rate limits of all pods gave no answer.
    #[error("the server of shared rate limits gave no answer")]
    RateLimitUnavailable,
    /// As many requests of the route as may be at once, and too many in the queue, or for too long.
    #[error("no place within the route's concurrency")]
    ConcurrencyFull,
    /// `fault` answered.
    #[error("a failure was asked for: {0}")]
    FaultInjected(StatusCode),
    /// No endpoint has an address.
    #[error("no endpoint in upstream {upstream}: {state}")]
    NoEndpoint {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// How many there are.
        state: Box<str>,
    },
    /// `circuitBreaker` lets no more through.
    #[error("upstream {upstream} is full: {state}")]
    Overloaded {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// [`Reason::UpstreamMaxRequests`] or [`Reason::UpstreamMaxPendingRequests`].
        reason: Reason,
        /// What is under way, as numbers.
        state: Box<str>,
    },
    /// All endpoints are ejected or unhealthy.
    #[error("no healthy endpoint in upstream {upstream}: {state}")]
    NoHealthyEndpoint {
        /// The upstream.
        upstream: std::sync::Arc<str>,
        /// What keeps each of them from being used, as numbers.
        state: Box<str>,
    },
    /// No connection could be made.
    #[error("connect to {endpoint} failed: {cause}")]
    ConnectFailed {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// [`Reason::UpstreamConnectFailed`], or `upstream.tls_…`.
        reason: Reason,
        /// What happened.
        cause: Cause,
    },
    /// The upstream closed or reset the connection.
    #[error("{endpoint} closed the connection: {cause}")]
    UpstreamClosed {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// What happened.
        cause: Cause,
    },
    /// The upstream's answer cannot be understood, or not in one way only.
    #[error("{endpoint} broke the protocol: {cause}")]
    UpstreamProtocol {
        /// The endpoint.
        endpoint: std::sync::Arc<str>,
        /// What happened.
        cause: Cause,
    },
    /// `grpc-timeout` of the client: the whole call.
    #[error("the call's deadline has passed")]
    GrpcTimeout,
    /// `timeouts.request`.
    #[error("no response head within the request timeout")]
    RequestTimeout,
    /// `timeouts.backendRequest`.
    #[error("no response head within the per-try timeout")]
    BackendTimeout,
    /// Neither body moved for `timeouts.streamIdle`; the head is out, so the stream is cut.
    #[error("response body idle for too long")]
    StreamIdle,
    /// On an upgraded connection no byte for `timeouts.upgradeIdle` in either direction; it is closed.
    #[error("upgraded connection idle for too long")]
    UpgradeIdle,
    /// The client went away, or its connection broke.
    #[error("client went away: {0}")]
    ClientGone(Cause),
}

impl Error {
    /// What a library says of an upstream that failed.
    pub fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::UpstreamClosed { cause, .. } | Self::UpstreamProtocol { cause, .. } => {
                Some(&**cause)
            }
            _ => None,
        }
    }

    /// Why, of the closed set that the access log and metrics have.
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

    /// The status of the response: the reason's, but for the few that have none of their own.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::FaultInjected(status) => *status,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            other => other.reason().status().unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    /// What the response does beside its status and message.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unauthenticated(_) => Effect::InvalidToken,
            other => other.reason().effect(),
        }
    }

    /// How long a client should wait, where it is known.
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

    /// What the client sees of it.
    pub fn message(&self) -> &'static str {
        self.reason().message()
    }

    /// What is behind the reason, numbers or what was wrong, for the access log alone; few errors have any.
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
