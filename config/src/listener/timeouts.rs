//! `timeouts` of a listener: timeouts for clients.

use std::time::Duration;

use crate::block::{
    Time, block,
    field::{Field, time_or_off},
};

block! {
    /// Timeouts for clients; 0s disables one.
    ListenerTimeoutsBlock {
        /// From accept to the end of the TLS handshake, a PROXY header included. Then the
        /// connection is closed. Default 10s.
        "tlsHandshake" tls_handshake: Time,
        /// From the first to the last byte of a request head. Then 408. Default 10s.
        "requestHeaders" request_headers: Time,
        /// Time without a byte of the request body, before the response head (then 408) or after
        /// the end of the response. Also time without a byte of the response that the client reads.
        /// Default 30s.
        "bodyIdle" body_idle: Time,
        /// Idle time between two requests of a connection. Then the connection is closed. Default
        /// 60s.
        "idle" idle: Time,
        /// Age at which a connection is closed after its next response. Default 0s, which is off.
        "connectionAge" connection_age: Time,
    }
    shown_as ListenerTimeouts
}

/// Timeouts for clients. `None` when the file has `0s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerTimeouts {
    /// From accept to the end of the TLS handshake, a PROXY header included; then close. Default 10
    /// s.
    pub tls_handshake: Option<Duration>,
    /// From the first to the last byte of a request head; then 408. Default 10 s.
    pub request_headers: Option<Duration>,
    /// Between two reads of a request body, or two writes of a response body; then 408 or close.
    /// Default 30 s.
    pub body_idle: Option<Duration>,
    /// Idle time between two requests of a connection; then close. Default 60 s.
    pub idle: Option<Duration>,
    /// Age at which a connection is closed after its next response (Connection: close, GOAWAY). Default off.
    pub connection_age: Option<Duration>,
}

/// As long as a request head may take: a handshake is two flights, also over a slow link.
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Long enough for a slow phone, short enough against slow-header attacks.
const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough for a client on a poor network, short enough against slow bodies.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// Over the 50 to 60 s that load balancers keep connections, so that they close first.
const IDLE: Duration = Duration::from_secs(60);

/// Validates the block.
pub(crate) fn accept(block: Option<&ListenerTimeoutsBlock>) -> ListenerTimeouts {
    let field = |get: fn(&ListenerTimeoutsBlock) -> &Field<_>, default| match block {
        Some(block) => time_or_off(get(block), default),
        None => default,
    };
    ListenerTimeouts {
        tls_handshake: field(|block| &block.tls_handshake, Some(TLS_HANDSHAKE)),
        request_headers: field(
            |block| &block.request_headers,
            Some(REQUEST_HEADERS_TIMEOUT),
        ),
        body_idle: field(|block| &block.body_idle, Some(BODY_IDLE)),
        idle: field(|block| &block.idle, Some(IDLE)),
        connection_age: field(|block| &block.connection_age, None),
    }
}
