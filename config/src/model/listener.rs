//! Listeners: where requests come in and what is refused at the door.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    model::ServerTls,
    part::{cidr::Cidr, path::EncodedSlash},
};

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Unique name; `in-PORT` or `out-PORT` by default.
    pub name: Arc<str>,
    /// Whether requests come from outside the pod or from the app.
    pub direction: Direction,
    /// What is bound.
    pub address: ListenerAddress,
    /// TLS, when it is spoken here.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether every connection begins with a PROXY header (v1 or v2), which only trusted peers may send.
    pub proxy_protocol: bool,
    /// Peers whose X-Forwarded-For and X-Request-Id are believed.
    pub trusted_cidrs: Vec<Cidr>,
    /// Limits on what a peer may send.
    pub limits: ListenerLimits,
    /// How long a peer may take.
    pub timeouts: ListenerTimeouts,
    /// How request paths are made canonical.
    pub paths: PathRules,
    /// What happens to a request header name with `_` in it. Default reject.
    pub underscore_headers: UnderscoreHeaders,
}

/// Whether requests come from outside the pod or from the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From outside, towards the app.
    Inbound,
    /// From the app, towards the outside. Serves only routes that name it.
    Outbound,
}

/// What a listener binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ListenerAddress {
    /// Address and port; port 0 is a free port, the same for all workers and kept over reloads.
    pub socket: SocketAddr,
    /// `port: N` inbound: `[::]:N` that also takes IPv4, or `0.0.0.0:N` where the host has no IPv6.
    pub dual_stack: bool,
}

/// Limits on what a peer may send; each has its own answer (`docs/operations.md`, "Flags").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// Bytes of a request head. Default 64 KiB.
    pub header_bytes: usize,
    /// Header fields; the cookie crumbs of HTTP/2 are one. Default 100.
    pub headers: usize,
    /// Bytes of the request target. Default 16 KiB.
    pub target_bytes: usize,
    /// Bytes of a request body; `None` is unlimited, the default.
    pub body_bytes: Option<u64>,
    /// Open connections, over all workers; `None`: min(10 000, half the fd limit, memory limit / 64 KiB).
    pub connections: Option<usize>,
    /// Open connections of one client address; trusted CIDRs are exempt. Default 1 000.
    pub connections_per_address: usize,
    /// Concurrent HTTP/2 streams of one connection. Default 128.
    pub streams: u32,
}

impl Default for ListenerLimits {
    /// The defaults named at the fields.
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            headers: 100,
            target_bytes: 16 * 1024,
            body_bytes: None,
            connections: None,
            connections_per_address: 1_000,
            streams: 128,
        }
    }
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

/// How request paths are made canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathRules {
    /// What happens to `%2f`. Default reject.
    pub encoded_slash: EncodedSlash,
    /// Whether `//` becomes `/`. Default true.
    pub merge_slashes: bool,
}

impl Default for PathRules {
    /// The strict form: `%2f` is refused, `//` is merged.
    fn default() -> Self {
        Self { encoded_slash: EncodedSlash::Reject, merge_slashes: true }
    }
}

/// What happens to a request header name with `_` in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderscoreHeaders {
    /// 400.
    Reject,
    /// The header is removed.
    Drop,
    /// The header passes, unless it looks like one that the proxy owns.
    Keep,
}
