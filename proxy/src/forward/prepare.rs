//! Makes a request ready for the wire: what HTTP/1.1 and HTTP/2 each want of a head.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header, uri};
use http_body::Body as _;
use outrigger_config::model::{Protocol, Upstream};
use outrigger_filters::{context::Context, service::Body};

/// What is spoken for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Http1,
    Http2,
}

/// A request that can be sent.
pub(super) struct Prepared {
    pub(super) request: Request<Body>,
    pub(super) wire: Wire,
    /// The client asked to upgrade, and the upstream is told.
    pub(super) upgrade: bool,
    /// It may go out once more after its connection broke without an answer.
    pub(super) repeatable: bool,
    /// How HTTP/2 is told what protects the request.
    scheme: uri::Scheme,
    /// Somebody has a copy, so none is made for another try.
    pub(super) copied: bool,
    /// An HTTP/2 connection took it away.
    pub(super) gone: bool,
    /// Its fields, while a try is under way that may not be the last: those of an answer would take their place.
    pub(super) fields: Option<Box<HeaderMap>>,
}

impl Prepared {
    /// Takes everything out, to give it to a try.
    pub(super) fn take(&mut self) -> Self {
        let request = std::mem::take(&mut self.request);
        self.with(request)
    }

    /// The same for another copy of the request.
    pub(super) fn with(&self, request: Request<Body>) -> Self {
        Self { request, scheme: self.scheme.clone(), fields: None, ..*self }
    }

    /// Puts the fields aside once they are written, when another try may need them.
    pub(super) fn put_fields_aside(&mut self) {
        if self.copied {
            self.fields = Some(Box::new(std::mem::take(self.request.headers_mut())));
        }
    }

    /// Makes it whole again after a try.
    pub(super) fn restore(&mut self) {
        if let Some(fields) = self.fields.take() {
            *self.request.headers_mut() = *fields;
        }
    }

    /// Sends another Host.
    pub(super) fn set_host(&mut self, authority: &str) {
        match self.wire {
            Wire::Http1 => {
                if let Ok(host) = HeaderValue::from_str(authority) {
                    self.request.headers_mut().insert(header::HOST, host);
                }
            }
            Wire::Http2 => set_authority(self.request.uri_mut(), &self.scheme, authority),
        }
    }
}

/// Prepares a request for its first try.
pub(super) fn prepare(mut request: Request<Body>, upstream: &Upstream, context: &Context) -> Prepared {
    let wire = wire(upstream.protocol, context.is_grpc.get());
    if request.version() == Version::HTTP_2 && wire == Wire::Http1 {
        join_cookies(request.headers_mut());
    }
    let upgrade = match wire {
        Wire::Http1 => http1_head(&mut request, upstream, context),
        Wire::Http2 => {
            http2_head(&mut request, upstream, context);
            false
        }
    };
    let repeatable = !upgrade && is_repeatable(&request);
    let scheme = scheme(upstream);
    Prepared { request, wire, upgrade, repeatable, scheme, copied: false, gone: false, fields: None }
}

fn wire(protocol: Protocol, is_grpc: bool) -> Wire {
    match protocol {
        Protocol::Http1 => Wire::Http1,
        Protocol::H2c => Wire::Http2,
        Protocol::Auto if is_grpc => Wire::Http2,
        Protocol::Auto => Wire::Http1,
    }
}

/// The codec writes the one framing field itself. Upgrades and `TE: trailers` are the proxy's own hop again.
fn http1_head(request: &mut Request<Body>, upstream: &Upstream, context: &Context) -> bool {
    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    let hop = context.hop.get();
    let headers = request.headers_mut();
    if version < Version::HTTP_11 && !headers.contains_key(header::HOST) {
        // HTTP/1.0 may come without, all others are refused; HTTP/1.1 must not go without.
        let authority = HeaderValue::from_str(upstream.authority());
        headers.insert(header::HOST, authority.unwrap_or_else(|_| HeaderValue::from_static("localhost")));
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

fn http2_head(request: &mut Request<Body>, upstream: &Upstream, context: &Context) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    context.insert_own(headers);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::EXPECT); // hyper shows no informational answers here, so the body goes at once
    let host = headers.remove(header::HOST);
    if context.hop.get().is_some_and(|hop| hop.te_trailers) {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_else(|| upstream.authority());
    set_authority(request.uri_mut(), &scheme(upstream), authority);
}

fn scheme(upstream: &Upstream) -> uri::Scheme {
    if upstream.tls.is_some() { uri::Scheme::HTTPS } else { uri::Scheme::HTTP }
}

fn set_authority(target: &mut Uri, scheme: &uri::Scheme, authority: &str) {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = authority.parse().ok();
    parts.path_and_query = target.path_and_query().cloned();
    if let Ok(absolute) = Uri::from_parts(parts) {
        *target = absolute;
    }
}

/// HTTP/2 may split one Cookie into crumbs; HTTP/1.1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether a request may go out once more after its connection broke without an answer: a safe method, no body.
fn is_repeatable(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && request.body().is_end_stream()
}

/// The same request once more, without its body: hyper takes those over HTTP/2 away.
pub(super) fn copy_for_repeat(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
