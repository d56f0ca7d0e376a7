//! Prepares a request head for HTTP/1.1 or HTTP/2.

use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};
use outrigger_config::model::{Protocol, Upstream};
use outrigger_filters::{context::Exchange, cookie};

/// The protocol of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// The protocol.
    pub wire: Wire,
    /// The client requested an upgrade, which the proxy forwards.
    pub upgrade: bool,
    /// The request may be sent again after its connection broke without a response: a safe method,
    /// no body.
    pub repeatable: bool,
    /// `:scheme` of HTTP/2: whether the connection to the upstream uses TLS.
    pub scheme: &'static str,
    /// Over HTTP/2, `te: trailers` is sent.
    pub te_trailers: bool,
}

/// Prepares a head for an upstream. `has_body`: whether a body follows; `authorization`: the
/// proxy's own credentials for the upstream.
pub fn prepare(
    head: &mut Parts,
    has_body: bool,
    upstream: &Upstream,
    authorization: Option<&HeaderValue>,
    exchange: &Exchange,
) -> Sending {
    if let Some(authorization) = authorization {
        let authorization = authorization.clone();
        head.headers.insert(header::AUTHORIZATION, authorization);
    }
    let wire = wire(upstream.protocol, exchange.is_grpc.get());
    if head.version == Version::HTTP_2 && wire == Wire::Http1 {
        join_cookies(&mut head.headers);
    }
    let upgrade = match wire {
        Wire::Http1 => http1_head(head, upstream, exchange),
        Wire::Http2 => {
            http2_head(head, upstream, exchange);
            false
        }
    };
    Sending {
        wire,
        upgrade,
        repeatable: !upgrade && !has_body && is_safe(&head.method),
        scheme: match upstream.tls {
            Some(_) => "https",
            None => "http",
        },
        te_trailers: exchange.hop.get().is_some_and(|hop| hop.te_trailers),
    }
}

fn wire(protocol: Protocol, is_grpc: bool) -> Wire {
    match protocol {
        Protocol::Http1 => Wire::Http1,
        Protocol::H2c => Wire::Http2,
        Protocol::Auto if is_grpc => Wire::Http2,
        Protocol::Auto => Wire::Http1,
    }
}

/// The codec writes the framing field itself. Upgrades and `TE: trailers` are added again for the
/// proxy's own hop.
fn http1_head(head: &mut Parts, upstream: &Upstream, exchange: &Exchange) -> bool {
    let version = std::mem::replace(&mut head.version, Version::HTTP_11);
    let hop = exchange.hop.get();
    let headers = &mut head.headers;
    if version < Version::HTTP_11 && !headers.contains_key(header::HOST) {
        // HTTP/1.0 permits a request without Host, which HTTP/1.1 requires; all others were
        // rejected before.
        let authority = HeaderValue::from_str(upstream.authority());
        headers.insert(
            header::HOST,
            authority.unwrap_or_else(|_| HeaderValue::from_static("localhost")),
        );
    }
    let Some(hop) = hop else { return false };
    if let Some(upgrade) = &hop.upgrade {
        headers.insert(header::UPGRADE, upgrade.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        return true;
    }
    if hop.te_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    false
}

fn http2_head(head: &mut Parts, upstream: &Upstream, exchange: &Exchange) {
    head.version = Version::HTTP_2;
    let headers = &mut head.headers;
    headers.remove(header::TRANSFER_ENCODING);
    if exchange.is_request_complete() {
        headers.remove(header::EXPECT); // the client of the proxy did not wait
    }
    if !headers.contains_key(header::HOST)
        && let Ok(authority) = HeaderValue::from_str(upstream.authority())
    {
        headers.insert(header::HOST, authority); // HTTP/1.0 permits a request without Host
    }
}

/// HTTP/2 may split one Cookie into several fields; HTTP/1.1 permits only one (RFC 9113 section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    if let Some(joined) = cookie::joined(headers) {
        headers.insert(header::COOKIE, joined);
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
