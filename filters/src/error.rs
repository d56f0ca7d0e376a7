//! Why a request was not answered by its upstream: one closed set for the whole chain.
//!
//! Each variant knows its status, its response flag, the exact reason for log and metrics, and the one sentence
//! a client may see. `proxy::respond` is the only place that turns an error into a response.

use std::{borrow::Cow, error::Error as StdError};

use http::StatusCode;

/// A short code for the access log and metrics, as in Envoy's response flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flag {
    /// Nothing to say.
    #[default]
    None,
    /// Malformed or ambiguous request, bad path (downstream protocol error).
    Dpe,
    /// A size limit.
    Lim,
    /// The client was too slow.
    Slow,
    /// No route.
    Nr,
    /// No token, or one that is refused (unauthenticated).
    Ua,
    /// Known, and not allowed (unauthorized).
    Uz,
    /// No keys to verify a token with were ever loaded.
    Jk,
    /// Over a rate limit.
    Rl,
    /// As many requests as may be at once (concurrency).
    Cc,
    /// A failure on purpose (fault injected).
    Fi,
    /// A delay on purpose (delay injected).
    Di,
    /// No healthy endpoint.
    Uh,
    /// As much as may be is under way to the upstream.
    Uo,
    /// Connect failed.
    Uf,
    /// The upstream closed the connection.
    Uc,
    /// The upstream broke the protocol.
    Upe,
    /// A timeout on the upstream.
    Ut,
    /// The client went away (downstream connection terminated).
    Dc,
    /// Draining: the time for requests in flight was over.
    Dr,
}

impl Flag {
    /// As it stands in log lines and labels; empty for none.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Dpe => "DPE",
            Self::Lim => "LIM",
            Self::Slow => "SLOW",
            Self::Nr => "NR",
            Self::Ua => "UA",
            Self::Uz => "UZ",
            Self::Jk => "JK",
            Self::Rl => "RL",
            Self::Cc => "CC",
            Self::Fi => "FI",
            Self::Di => "DI",
            Self::Uh => "UH",
            Self::Uo => "UO",
            Self::Uf => "UF",
            Self::Uc => "UC",
            Self::Upe => "UPE",
            Self::Ut => "UT",
            Self::Dc => "DC",
            Self::Dr => "DR",
        }
    }
}

/// What was wrong with a request head or body; each is a value of `outrigger_downstream_rejected_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Host is missing, repeated, a list, or carries userinfo, a path or a bad port.
    Host,
    /// `:authority` and `host` differ.
    AuthorityMismatch,
    /// Anything but one `Transfer-Encoding: chunked`.
    TransferEncoding,
    /// A Content-Length that is not one plain number.
    ContentLength,
    /// Control or non-ASCII bytes, a fragment, an unknown scheme, or a form that the method does not take.
    Target,
    /// Over HTTP/2: `:path` is no path, or `:authority` has userinfo.
    PseudoHeader,
    /// Dot segments, `%00`, `%2f`, `%5c`, `\` or a broken escape.
    Path,
    /// A header name with `_`.
    UnderscoreHeader,
    /// A header that HTTP/2 does not allow, or space at a value's ends.
    Header,
    /// Two Authorization headers.
    Authorization,
    /// A broken chunk, length or trailer in the body.
    Body,
    /// Trailers over their limit.
    Trailers,
}

impl Malformed {
    /// As it stands in log lines and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "request.host",
            Self::AuthorityMismatch => "request.authority_mismatch",
            Self::TransferEncoding => "request.transfer_encoding",
            Self::ContentLength => "request.content_length",
            Self::Target => "request.target",
            Self::PseudoHeader => "request.pseudo_header",
            Self::Path => "request.path",
            Self::UnderscoreHeader => "request.underscore_header",
            Self::Header => "request.header",
            Self::Authorization => "request.authorization",
            Self::Body | Self::Trailers => "request.body",
        }
    }

    /// Whether RFC 9113 calls an HTTP/2 request with this malformed (sections 8.1.1, 8.2 and 8.3), so that its stream is
    /// reset. Everything else is a rule of ours, and gets an answer.
    pub fn resets_stream(self) -> bool {
        match self {
            Self::AuthorityMismatch
            | Self::TransferEncoding
            | Self::ContentLength
            | Self::PseudoHeader
            | Self::Header
            | Self::Body => true,
            Self::Host
            | Self::Target
            | Self::Path
            | Self::UnderscoreHeader
            | Self::Authorization
            | Self::Trailers => false,
        }
    }
}

/// The reason of a request over a rate limit, also where that is only reported.
pub const RATE_LIMITED: &str = "rate_limit.exceeded";

/// The reason of a connect that failed before TLS, or without it.
pub const CONNECT_FAILED: &str = "upstream.connect_failed";

/// `circuitBreaker.maxRequests` are under way.
pub const MAX_REQUESTS: &str = "upstream.max_requests";

/// `circuitBreaker.maxPendingRequests` wait for a connection.
pub const MAX_PENDING_REQUESTS: &str = "upstream.max_pending_requests";

/// What lies behind an upstream failure, for the log.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a request was not answered by its upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Malformed or ambiguous.
    #[error("malformed request: {}", .0.as_str())]
    Malformed(Malformed),
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
    /// No token, or one that is refused; the reason is `auth.…`.
    #[error("not authenticated: {0}")]
    Unauthenticated(&'static str),
    /// Whoever it is may not do this.
    #[error("not allowed: {reason}")]
    Forbidden {
        /// `auth.…`, `authorize.…` or `ext_auth.…`.
        reason: &'static str,
        /// Whether a token with more scopes would do (RFC 6750 section 3.1).
        insufficient_scope: bool,
    },
    /// No key to verify a token with was ever loaded, or the last ones are too old.
    #[error("no keys of provider {provider}")]
    NoKeys {
        /// The provider.
        provider: std::sync::Arc<str>,
    },
    /// The service of `extAuth` gave no answer.
    #[error("external authorization failed: {0}")]
    ExtAuthFailed(Cause),
    /// Over a rate limit.
    #[error("over a rate limit; not before {retry_after:?}")]
    RateLimited {
        /// When it would not be.
        retry_after: std::time::Duration,
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
        /// [`MAX_REQUESTS`] or [`MAX_PENDING_REQUESTS`].
        reason: &'static str,
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
        /// [`CONNECT_FAILED`], or `upstream.tls_…`.
        reason: &'static str,
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

    /// RFC 9110 section 15; 429 and 431 from RFC 6585 sections 4 and 5.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::ClientGone(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyIdle => StatusCode::REQUEST_TIMEOUT,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoKeys { .. }
            | Self::ExtAuthFailed(_)
            | Self::RateLimitUnavailable
            | Self::ConcurrencyFull
            | Self::NoEndpoint { .. }
            | Self::NoHealthyEndpoint { .. }
            | Self::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::FaultInjected(status) => *status,
            Self::ConnectFailed { .. }
            | Self::UpstreamClosed { .. }
            | Self::UpstreamProtocol { .. } => StatusCode::BAD_GATEWAY,
            Self::GrpcTimeout
            | Self::RequestTimeout
            | Self::BackendTimeout
            | Self::StreamIdle
            | Self::UpgradeIdle => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The response flag.
    pub fn flag(&self) -> Flag {
        match self {
            Self::Malformed(_) | Self::Connect => Flag::Dpe,
            Self::HeadersTooLarge | Self::TargetTooLong | Self::BodyTooLarge => Flag::Lim,
            Self::BodyIdle => Flag::Slow,
            Self::Misdirected | Self::NoRoute => Flag::Nr,
            Self::Unauthenticated(_) => Flag::Ua,
            Self::Forbidden { .. } | Self::ExtAuthFailed(_) => Flag::Uz,
            Self::NoKeys { .. } => Flag::Jk,
            Self::RateLimited { .. } | Self::RateLimitUnavailable => Flag::Rl,
            Self::ConcurrencyFull => Flag::Cc,
            Self::FaultInjected(_) => Flag::Fi,
            Self::NoEndpoint { .. } | Self::NoHealthyEndpoint { .. } => Flag::Uh,
            Self::Overloaded { .. } => Flag::Uo,
            Self::ConnectFailed { .. } => Flag::Uf,
            Self::UpstreamClosed { .. } => Flag::Uc,
            Self::UpstreamProtocol { .. } => Flag::Upe,
            Self::GrpcTimeout
            | Self::RequestTimeout
            | Self::BackendTimeout
            | Self::StreamIdle
            | Self::UpgradeIdle => Flag::Ut,
            Self::ClientGone(_) => Flag::Dc,
        }
    }

    /// The exact reason, for access log and metrics; a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(what) => what.as_str(),
            Self::Connect => "request.connect",
            Self::HeadersTooLarge => "limit.headers",
            Self::TargetTooLong => "limit.target",
            Self::BodyTooLarge => "limit.body",
            Self::BodyIdle => "timeout.body_idle",
            Self::Misdirected => "tls.misdirected",
            Self::NoRoute => "route.none",
            Self::Unauthenticated(reason) | Self::Forbidden { reason, .. } => reason,
            Self::NoKeys { .. } => "auth.no_keys",
            Self::RateLimited { .. } => RATE_LIMITED,
            Self::RateLimitUnavailable => "rate_limit.unavailable",
            Self::ConcurrencyFull => "concurrency.full",
            Self::FaultInjected(_) => "fault.abort",
            Self::ExtAuthFailed(_) => "ext_auth.failed",
            Self::NoEndpoint { .. } => "upstream.no_endpoint",
            Self::NoHealthyEndpoint { .. } => "upstream.none_healthy",
            Self::Overloaded { reason, .. } => reason,
            Self::ConnectFailed { reason, .. } => reason,
            Self::UpstreamClosed { .. } => "upstream.closed",
            Self::UpstreamProtocol { .. } => "upstream.protocol",
            Self::GrpcTimeout => "timeout.grpc",
            Self::RequestTimeout => "timeout.request",
            Self::BackendTimeout => "timeout.backend_request",
            Self::StreamIdle => "timeout.stream_idle",
            Self::UpgradeIdle => "timeout.upgrade_idle",
            Self::ClientGone(_) => "client.gone",
        }
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

    /// What the client is told. It cannot leak: it holds no data.
    pub fn public_message(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::ClientGone(_) => "bad request",
            Self::Connect => "method not allowed",
            Self::HeadersTooLarge => "request headers too large",
            Self::TargetTooLong => "request target too long",
            Self::BodyTooLarge => "request body too large",
            Self::BodyIdle => "request body too slow",
            Self::Misdirected => "misdirected request",
            Self::NoRoute => "no route",
            Self::Unauthenticated(_) => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NoKeys { .. } | Self::ExtAuthFailed(_) => "authorization unavailable",
            Self::RateLimited { .. } | Self::ConcurrencyFull => "too many requests",
            Self::RateLimitUnavailable => "rate limits unavailable",
            Self::FaultInjected(_) => "fault injected",
            Self::GrpcTimeout => "deadline exceeded",
            Self::NoEndpoint { .. } | Self::NoHealthyEndpoint { .. } => "no healthy upstream",
            Self::Overloaded { .. } => "upstream overloaded",
            Self::ConnectFailed { .. }
            | Self::UpstreamClosed { .. }
            | Self::UpstreamProtocol { .. } => "upstream failed",
            Self::RequestTimeout | Self::BackendTimeout | Self::StreamIdle | Self::UpgradeIdle => {
                "upstream timed out"
            }
        }
    }
}
