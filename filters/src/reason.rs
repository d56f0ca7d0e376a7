//! Why a request did not get an unchanged response of its upstream: one table, one row for each
//! reason.
//!
//! The error, the response, the access log, the metrics and the table of `docs/reasons.md` are
//! derived from this table. A client sees the status, the message and the headers of a reason,
//! never its name.

use http::StatusCode;

use crate::grpc;

/// A short code for the access log and metrics, as in Envoy's response flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Flag {
    /// Nothing to report.
    #[default]
    None,
    /// Malformed or ambiguous request (downstream protocol error).
    Dpe,
    /// A size or count limit was exceeded.
    Lim,
    /// The client was too slow.
    Slow,
    /// No route.
    Nr,
    /// Unauthenticated: no token, or one that was rejected.
    Ua,
    /// Unauthorized: authenticated, but not allowed.
    Uz,
    /// No keys to verify a token with (JWKS).
    Jk,
    /// Over a rate limit.
    Rl,
    /// The route is under maintenance.
    Mt,
    /// Over the concurrency limit.
    Cc,
    /// Fault injected.
    Fi,
    /// Delay injected.
    Di,
    /// No healthy endpoint in the upstream.
    Uh,
    /// Upstream overflow: a circuit breaker is open.
    Uo,
    /// Upstream connection failure.
    Uf,
    /// The upstream closed the connection.
    Uc,
    /// Upstream protocol error.
    Upe,
    /// Upstream timeout.
    Ut,
    /// Downstream connection termination: the client went away.
    Dc,
    /// Draining: the time for requests in flight was over.
    Dr,
}

impl Flag {
    /// The code in log lines and labels; empty for none.
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
            Self::Mt => "MT",
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

/// The effect of a reason on the response besides its status and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// No effect.
    Plain,
    /// `Connection: close` over HTTP/1.1: the rest of the client's bytes is not trusted, or not
    /// needed.
    Close,
    /// The same; over HTTP/2 the stream is reset, because RFC 9113 calls the request malformed
    /// (sections 8.1.1, 8.2 and 8.3).
    Reset,
    /// `Retry-After`, at least 1 s.
    RetryAfter,
    /// `Retry-After` and `x-outrigger-overloaded: true`: another Outrigger in front of this one
    /// must not retry.
    Overloaded,
    /// `WWW-Authenticate: Bearer error="invalid_token"` (RFC 6750 section 3).
    InvalidToken,
    /// `WWW-Authenticate: Bearer error="insufficient_scope"` (RFC 6750 section 3.1).
    InsufficientScope,
}

/// One row of the table.
struct Line {
    name: &'static str,
    flag: Flag,
    /// 0 if the reason has no status of its own.
    status: u16,
    message: &'static str,
    effect: Effect,
    meaning: &'static str,
}

/// Declares each reason once.
macro_rules! reasons {
    ($($variant:ident = $name:literal $flag:ident $status:literal $message:literal $effect:ident $meaning:literal;)*) => {
        /// Why a request did not get an unchanged response of its upstream.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $meaning] $variant,)*
        }

        impl Reason {
            /// All reasons, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            const LINES: &[Line] = &[$(Line {
                name: $name,
                flag: Flag::$flag,
                status: $status,
                message: $message,
                effect: Effect::$effect,
                meaning: $meaning,
            },)*];
        }
    };
}

reasons! {
    RequestHost = "request.host" Dpe 400 "bad request" Close
        "`Host` is missing, repeated, a list, or has userinfo, a path or a bad port.";
    RequestAuthorityMismatch = "request.authority_mismatch" Dpe 400 "bad request" Reset
        "`:authority` and `Host` differ.";
    RequestTransferEncoding = "request.transfer_encoding" Dpe 400 "bad request" Reset
        "`Transfer-Encoding` is anything but one `chunked`.";
    RequestContentLength = "request.content_length" Dpe 400 "bad request" Reset
        "`Content-Length` is not one plain number.";
    RequestTarget = "request.target" Dpe 400 "bad request" Close
        "The target has control or non-ASCII bytes, a fragment, an unknown scheme, or a form that the method does not allow.";
    RequestPseudoHeader = "request.pseudo_header" Dpe 400 "bad request" Reset
        "HTTP/2: `:path` is not a path, or `:authority` has userinfo.";
    RequestPath = "request.path" Dpe 400 "bad request" Close
        "The path has dot segments, `%00`, `%2f`, `%5c`, `\\` or a broken percent-escape.";
    RequestUnderscoreHeader = "request.underscore_header" Dpe 400 "bad request" Close
        "A header name has `_`, and `underscoreHeaders` of the listener is `reject`.";
    RequestHeader = "request.header" Dpe 400 "bad request" Reset
        "A header that HTTP/2 does not allow, or whitespace at the ends of a value.";
    RequestAuthorization = "request.authorization" Dpe 400 "bad request" Close
        "Two `Authorization` headers.";
    RequestBody = "request.body" Dpe 400 "bad request" Reset
        "A broken chunk, length or trailer in the body.";
    RequestTrailers = "request.trailers" Dpe 400 "bad request" Close
        "Trailers over their limit.";
    RequestConnect = "request.connect" Dpe 405 "method not allowed" Close
        "`CONNECT`, which a reverse proxy does not serve.";
    RequestHttp1Syntax = "request.http1_syntax" Dpe 400 "" Close
        "An HTTP/1.1 head that cannot be parsed, or not in one way only. The response is an empty 400.";
    RequestHttp2Protocol = "request.http2_protocol" Dpe 0 "" Plain
        "An HTTP/2 protocol error: the stream is reset, or the connection is closed with GOAWAY. No response.";
    LimitHeaders = "limit.headers" Lim 431 "request headers too large" Close
        "More header bytes or fields than `limits.headerBytes` or `limits.headers` allow.";
    LimitTarget = "limit.target" Lim 414 "request target too long" Close
        "The target is longer than `limits.targetBytes`.";
    LimitBody = "limit.body" Lim 413 "request body too large" Close
        "The body is larger than `limits.bodyBytes`.";
    LimitConnectionsPerAddress = "limit.connections_per_address" Lim 0 "" Plain
        "`limits.connectionsPerAddress` is reached and no connection of the address is idle. The connection is closed without a line in the access log.";
    LimitStreams = "limit.streams" Lim 0 "" Plain
        "An HTTP/2 stream over `limits.streams`: reset with REFUSED_STREAM, without a line in the access log. Clients retry it.";
    LimitHttp2Resets = "limit.http2_resets" Lim 0 "" Plain
        "Too many HTTP/2 streams were reset before their response began. GOAWAY.";
    LimitHttp2Pings = "limit.http2_pings" Lim 0 "" Plain
        "Too many HTTP/2 PING frames. GOAWAY.";
    LimitHttp2Settings = "limit.http2_settings" Lim 0 "" Plain
        "Too many HTTP/2 SETTINGS frames. GOAWAY.";
    LimitHttp2Data = "limit.http2_data" Lim 0 "" Plain
        "Too many HTTP/2 DATA frames that are empty or nearly empty. GOAWAY.";
    LimitHttp2Continuation = "limit.http2_continuation" Lim 0 "" Plain
        "More HTTP/2 CONTINUATION frames than a header block of this size needs. GOAWAY.";
    TimeoutRequestHeaders = "timeout.request_headers" Slow 408 "request header too slow" Close
        "The request head was not complete within `timeouts.requestHeaders`. Over HTTP/2: GOAWAY.";
    TimeoutBodyIdle = "timeout.body_idle" Slow 408 "request body too slow" Close
        "No byte of the request body for `timeouts.bodyIdle`.";
    TimeoutSlowRead = "timeout.slow_read" Slow 0 "" Plain
        "The client took no byte of the response for `timeouts.bodyIdle`. The connection is closed; the status is the one already sent.";
    ProxyProtocolUntrusted = "proxy_protocol.untrusted" Dpe 0 "" Plain
        "`clientAddress.proxyProtocol` is on, and the peer is not in `trustedCIDRs`. The connection is closed without a line in the access log.";
    ProxyProtocolMalformed = "proxy_protocol.malformed" Dpe 0 "" Plain
        "`clientAddress.proxyProtocol` is on, and the peer sent no valid PROXY header. The connection is closed without a line in the access log.";
    ProxyProtocolTimeout = "proxy_protocol.timeout" Slow 0 "" Plain
        "`clientAddress.proxyProtocol` is on, and the PROXY header was not complete in time. The connection is closed without a line in the access log.";
    RouteNone = "route.none" Nr 404 "no route" Plain
        "No route matches.";
    TlsMisdirected = "tls.misdirected" Nr 421 "misdirected request" Plain
        "The listener has another certificate for this host than for the server name (SNI) of the connection.";
    AuthMissingToken = "auth.missing_token" Ua 401 "unauthorized" InvalidToken
        "No token where the provider looks for one.";
    AuthDuplicateToken = "auth.duplicate_token" Ua 401 "unauthorized" InvalidToken
        "The token is in several headers or cookies of the same name.";
    AuthTokenTooLarge = "auth.token_too_large" Ua 401 "unauthorized" InvalidToken
        "The token is larger than 16 KiB.";
    AuthTokenSegments = "auth.token_segments" Ua 401 "unauthorized" InvalidToken
        "The token does not have three segments: it is not a signed token in compact form (RFC 7515 section 3.1), perhaps an encrypted one.";
    AuthTokenEncoding = "auth.token_encoding" Ua 401 "unauthorized" InvalidToken
        "A segment is not base64url without padding.";
    AuthTokenHeader = "auth.token_header" Ua 401 "unauthorized" InvalidToken
        "The token header is not a JSON object, or `alg`, `kid` or `typ` is not a string.";
    AuthTokenPayload = "auth.token_payload" Ua 401 "unauthorized" InvalidToken
        "The payload is not a JSON object, or is nested deeper than 16 levels.";
    AuthDuplicateMember = "auth.duplicate_member" Ua 401 "unauthorized" InvalidToken
        "A JSON object in the token has the same member twice.";
    AuthCriticalHeader = "auth.critical_header" Ua 401 "unauthorized" InvalidToken
        "The token header has `crit`, or `b64` other than true.";
    AuthAlgorithmNotAllowed = "auth.algorithm_not_allowed" Ua 401 "unauthorized" InvalidToken
        "`alg` is unknown, or not in `algorithms` of the provider.";
    AuthTokenType = "auth.token_type" Ua 401 "unauthorized" InvalidToken
        "`typ` is not in `tokenTypes` of the provider.";
    AuthClaimType = "auth.claim_type" Ua 401 "unauthorized" InvalidToken
        "`iss` is not a string, or `aud` is neither a string nor a list of strings.";
    AuthInvalidTime = "auth.invalid_time" Ua 401 "unauthorized" InvalidToken
        "`exp`, `nbf` or `iat` is not a number, or is negative.";
    AuthIssuerMissing = "auth.issuer_missing" Ua 401 "unauthorized" InvalidToken
        "No `iss`.";
    AuthUnknownIssuer = "auth.unknown_issuer" Ua 401 "unauthorized" InvalidToken
        "`iss` is none of the providers of the route.";
    AuthAudienceMissing = "auth.audience_missing" Ua 401 "unauthorized" InvalidToken
        "No `aud`.";
    AuthAudienceMismatch = "auth.audience_mismatch" Ua 401 "unauthorized" InvalidToken
        "`aud` has none of `audiences` of the provider.";
    AuthExpiryMissing = "auth.expiry_missing" Ua 401 "unauthorized" InvalidToken
        "No `exp`.";
    AuthExpired = "auth.expired" Ua 401 "unauthorized" InvalidToken
        "`exp` is in the past, `clockSkew` included.";
    AuthNotYetValid = "auth.not_yet_valid" Ua 401 "unauthorized" InvalidToken
        "`nbf` is in the future, `clockSkew` included.";
    AuthIssuedInFuture = "auth.issued_in_future" Ua 401 "unauthorized" InvalidToken
        "`iat` is in the future, `clockSkew` included.";
    AuthIssueTimeMissing = "auth.issue_time_missing" Ua 401 "unauthorized" InvalidToken
        "No `iat`, and the provider has a `maxLifetime`.";
    AuthLifetimeTooLong = "auth.lifetime_too_long" Ua 401 "unauthorized" InvalidToken
        "The time from `iat` to `exp` is longer than `maxLifetime`.";
    AuthBindingMissing = "auth.binding_missing" Ua 401 "unauthorized" InvalidToken
        "No `cnf`, and the provider has `binding: required`.";
    AuthBindingUnknown = "auth.binding_unknown" Ua 401 "unauthorized" InvalidToken
        "`cnf` is not the thumbprint of a certificate (`x5t#S256`) and nothing else.";
    AuthBindingMismatch = "auth.binding_mismatch" Ua 401 "unauthorized" InvalidToken
        "The client did not present the certificate that `cnf` names.";
    AuthUnknownKid = "auth.unknown_kid" Ua 401 "unauthorized" InvalidToken
        "No key of the provider has the `kid` of the token, also after a new fetch.";
    AuthUnusableKey = "auth.unusable_key" Ua 401 "unauthorized" InvalidToken
        "The only keys with that `kid` cannot verify: too weak, for encryption, or malformed.";
    AuthKeyMismatch = "auth.key_mismatch" Ua 401 "unauthorized" InvalidToken
        "Every key with that `kid`, or every key of the provider, is for another `alg`.";
    AuthAmbiguousKey = "auth.ambiguous_key" Ua 401 "unauthorized" InvalidToken
        "More than four keys match `alg` and, if the token has one, `kid`.";
    AuthSignature = "auth.signature" Ua 401 "unauthorized" InvalidToken
        "The signature does not match the key.";
    AuthCertificateMissing = "auth.certificate_missing" Uz 403 "forbidden" Plain
        "The route requires `mtls`, and the client has no verified certificate.";
    AuthNoKeys = "auth.no_keys" Jk 503 "authorization unavailable" RetryAfter
        "No keys of the token provider: they were never loaded, or are older than `maxStale`.";
    AuthorizeDenied = "authorize.denied" Uz 403 "forbidden" Plain
        "A deny rule matches. `rule` in the access log names it.";
    AuthorizeNotAllowed = "authorize.not_allowed" Uz 403 "forbidden" Plain
        "No allow rule matches.";
    AuthorizeInsufficientScope = "authorize.insufficient_scope" Uz 403 "forbidden" InsufficientScope
        "An allow rule would match if the token had more scopes.";
    ExtAuthDenied = "ext_auth.denied" Uz 0 "forbidden" Plain
        "The external authorization service denied the request. Status and body are the service's; gRPC clients get 7, or 16 for a 401.";
    ExtAuthFailed = "ext_auth.failed" Uz 503 "authorization unavailable" RetryAfter
        "The external authorization service did not respond, and `extAuth.onError` is `deny`.";
    RateLimitExceeded = "rate_limit.exceeded" Rl 429 "too many requests" RetryAfter
        "Over a rate limit. `rule` in the access log names it; `Retry-After` says when the next request is allowed.";
    RateLimitUnavailable = "rate_limit.unavailable" Rl 503 "rate limits unavailable" RetryAfter
        "Redis did not respond, and `redis.onError` is `deny`.";
    MaintenanceActive = "maintenance.active" Mt 503 "under maintenance" RetryAfter
        "The route has `maintenance`. With its `body`, that is the body of the response.";
    ConcurrencyFull = "concurrency.full" Cc 503 "too many requests" RetryAfter
        "`concurrency.max` requests are in flight, and the queue is full or `queueTimeout` is over.";
    FaultAbort = "fault.abort" Fi 0 "fault injected" Plain
        "`fault` rejected the request with its `abortStatus`.";
    FaultDelay = "fault.delay" Di 0 "" Plain
        "`fault` delayed the request; the status is the upstream's.";
    UpstreamNoEndpoint = "upstream.no_endpoint" Uh 503 "no healthy upstream" Overloaded
        "No endpoint of the upstream has an address: its name was never resolved.";
    UpstreamNoneHealthy = "upstream.none_healthy" Uh 503 "no healthy upstream" Overloaded
        "All endpoints are ejected or unhealthy. `detail` in the access log has the numbers.";
    UpstreamMaxRequests = "upstream.max_requests" Uo 503 "upstream overloaded" Overloaded
        "`circuitBreaker.maxRequests` are in flight.";
    UpstreamMaxPendingRequests = "upstream.max_pending_requests" Uo 503 "upstream overloaded" Overloaded
        "`circuitBreaker.maxPendingRequests` wait for a connection.";
    UpstreamConnectFailed = "upstream.connect_failed" Uf 502 "upstream failed" Plain
        "No connection could be established: is the app up, on the port of `app.port`?";
    UpstreamTlsUnknownCa = "upstream.tls_unknown_ca" Uf 502 "upstream failed" Plain
        "No certificate of `tls.caFiles` (without it: of the system) signed the certificate of the endpoint, or the endpoint does not send an intermediate certificate.";
    UpstreamTlsWrongName = "upstream.tls_wrong_name" Uf 502 "upstream failed" Plain
        "The certificate of the endpoint is not for `tls.subjectAltNames`; without them, not for `tls.hostname` or the host of the URL.";
    UpstreamTlsExpired = "upstream.tls_expired" Uf 502 "upstream failed" Plain
        "The certificate of the endpoint, or one above it, has expired. Check both clocks.";
    UpstreamTlsNotYetValid = "upstream.tls_not_yet_valid" Uf 502 "upstream failed" Plain
        "The certificate of the endpoint, or one above it, is not valid yet. Check both clocks.";
    UpstreamTlsWrongPurpose = "upstream.tls_wrong_purpose" Uf 502 "upstream failed" Plain
        "The certificate of the endpoint is not for servers: it lacks the extended key usage serverAuth, or its key usage lacks digitalSignature.";
    UpstreamTlsBadCertificate = "upstream.tls_bad_certificate" Uf 502 "upstream failed" Plain
        "The certificate of the endpoint is malformed, or its key did not sign the handshake.";
    UpstreamTlsNotTls = "upstream.tls_not_tls" Uf 502 "upstream failed" Plain
        "The endpoint does not speak TLS: should the URL begin with `http://`?";
    UpstreamTlsProtocolVersion = "upstream.tls_protocol_version" Uf 502 "upstream failed" Plain
        "The endpoint speaks neither TLS 1.2 nor 1.3.";
    UpstreamTlsNoSharedCipher = "upstream.tls_no_shared_cipher" Uf 502 "upstream failed" Plain
        "No cipher suite, key exchange or signature scheme in common with the endpoint.";
    UpstreamTlsNoSharedProtocol = "upstream.tls_no_shared_protocol" Uf 502 "upstream failed" Plain
        "The endpoint does not speak the required HTTP version: HTTP/2 for gRPC, else HTTP/1.1.";
    UpstreamTlsCertificateRequired = "upstream.tls_certificate_required" Uf 502 "upstream failed" Plain
        "The endpoint requires a client certificate: set `tls.certFile` and `tls.keyFile` of the upstream.";
    UpstreamTlsCertificateRejected = "upstream.tls_certificate_rejected" Uf 502 "upstream failed" Plain
        "The endpoint does not accept the certificate of `tls.certFile`.";
    UpstreamTlsUnrecognizedName = "upstream.tls_unrecognized_name" Uf 502 "upstream failed" Plain
        "The endpoint has no server of the requested name (SNI).";
    UpstreamTlsHandshakeRejected = "upstream.tls_handshake_rejected" Uf 502 "upstream failed" Plain
        "The endpoint ended the handshake; perhaps it requires a client certificate.";
    UpstreamTlsTimeout = "upstream.tls_timeout" Uf 502 "upstream failed" Plain
        "The handshake was not complete within `connections.connectTimeout`.";
    UpstreamTlsClosed = "upstream.tls_closed" Uf 502 "upstream failed" Plain
        "The endpoint closed the connection during the handshake.";
    UpstreamTlsProtocol = "upstream.tls_protocol" Uf 502 "upstream failed" Plain
        "The endpoint violated the TLS protocol.";
    UpstreamTlsOther = "upstream.tls_other" Uf 502 "upstream failed" Plain
        "Any other TLS failure on the side of the proxy.";
    UpstreamClosed = "upstream.closed" Uc 502 "upstream failed" Plain
        "The upstream closed or reset the connection before its response was complete.";
    UpstreamProtocol = "upstream.protocol" Upe 502 "upstream failed" Plain
        "The response cannot be parsed, or not in one way only. `detail` in the access log says what was wrong.";
    TimeoutRequest = "timeout.request" Ut 504 "upstream timed out" Plain
        "No response head within `timeouts.request`.";
    TimeoutBackendRequest = "timeout.backend_request" Ut 504 "upstream timed out" Plain
        "No response head within `timeouts.backendRequest` of the last attempt.";
    TimeoutStreamIdle = "timeout.stream_idle" Ut 504 "upstream timed out" Plain
        "No byte in either direction for `timeouts.streamIdle`. The status is the one already sent.";
    TimeoutUpgradeIdle = "timeout.upgrade_idle" Ut 504 "upstream timed out" Plain
        "No byte in either direction of an upgraded connection (WebSocket) for `timeouts.upgradeIdle`; the status is 101. Raise it, or let client or app send pings.";
    TimeoutGrpc = "timeout.grpc" Ut 504 "deadline exceeded" Plain
        "The client's own `grpc-timeout` is over.";
    ClientGone = "client.closed" Dc 400 "bad request" Close
        "The client went away. The access log has status 499, or the status already sent.";
    DrainTimeout = "drain.timeout" Dr 0 "" Plain
        "Still in flight when `lifecycle.drainTimeout` was over. The status is the one already sent; with 101, a WebSocket that was not closed in time after the close frame of a drain.";
}

impl Reason {
    const fn line(self) -> &'static Line {
        &Self::LINES[self as usize]
    }

    /// The name in log lines and labels.
    pub fn as_str(self) -> &'static str {
        self.line().name
    }

    /// The response flag.
    pub const fn flag(self) -> Flag {
        self.line().flag
    }

    /// The status of the response: RFC 9110 section 15; 429 and 431 from RFC 6585 sections 4 and 5.
    /// `None` if the reason has no status of its own, as its meaning explains.
    pub fn status(self) -> Option<StatusCode> {
        StatusCode::from_u16(self.line().status).ok()
    }

    /// The message for the client. It contains no data, so it cannot leak any.
    pub fn message(self) -> &'static str {
        self.line().message
    }

    /// The effect on the response besides status and message.
    pub fn effect(self) -> Effect {
        self.line().effect
    }

    /// The gRPC status for a gRPC client.
    pub fn grpc_status(self) -> Option<u16> {
        self.status().map(|status| grpc::status_of(status).into())
    }

    /// The meaning in Markdown, for the documentation.
    pub fn meaning(self) -> &'static str {
        self.line().meaning
    }
}

#[cfg(test)]
mod tests;
