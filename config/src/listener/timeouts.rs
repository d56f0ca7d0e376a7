//! `timeouts` of a listener: how long a peer may take.

use std::time::Duration;

use crate::block::{
    Time, block,
    field::{Field, time_or_off},
};

block! {
    /// How long a peer may take; 0s switches one off.
    ListenerTimeoutsBlock {
        /// From the accepted connection to the end of the TLS handshake, a PROXY header included. Default 10s.
        "tlsHandshake" tls_handshake: Time,
        /// From the first byte of a request head to its last. Default 10s; then 408.
        "requestHeaders" request_headers: Time,
        /// Without a byte of a request body, before the response head (408) or after the end of the response; or without a byte that the client takes of a response. Default 30s.
        "bodyIdle" body_idle: Time,
        /// Between two requests of one connection. Default 60s.
        "idle" idle: Time,
        /// Age at which a connection is asked to end. Default 0s, which is off.
        "connectionAge" connection_age: Time,
    }
    shown_as ListenerTimeouts
}

/// How long a peer may take. Zero in the file disables a timeout and is `None` here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerTimeouts {
    /// From the accepted connection to the end of the TLS handshake, a PROXY header included: close. Default 10 s.
    pub tls_handshake: Option<Duration>,
    /// From the first byte of a request head to its last: 408. Default 10 s.
    pub request_headers: Option<Duration>,
    /// Between two reads of a request body, or two writes of a response body: 408 or close. Default 30 s.
    pub body_idle: Option<Duration>,
    /// Between two requests of one connection: close. Default 60 s.
    pub idle: Option<Duration>,
    /// Age at which a connection is asked to end (Connection: close, GOAWAY). Default off.
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

/// Checks what was written.
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
