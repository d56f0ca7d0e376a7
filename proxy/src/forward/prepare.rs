//! Makes a request ready for the wire: what HTTP/1.1 and HTTP/2 each want of a head.

use std::cell::{Cell, RefCell};

use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};
use http_body::Body as _;
use outrigger_config::model::{Protocol, Upstream};
use outrigger_filters::{
    context::Context,
    cookie,
    owned_headers::{Own, X_OUTRIGGER_ATTEMPT_COUNT},
    service::Body,
};

use crate::codec::{http2::Block, spare};

/// What is spoken for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Http1,
    Http2,
}

/// A request that can be sent, without its body.
///
/// Its tries share it: each reads the head when it writes, which takes no time, and none takes it away.
pub(super) struct Prepared {
    head: RefCell<Box<Parts>>,
    pub(super) wire: Wire,
    /// The client asked to upgrade, and the upstream is told.
    pub(super) upgrade: bool,
    /// It may go out once more after its connection broke without an answer.
    pub(super) repeatable: bool,
    /// How HTTP/2 is told what protects the request.
    scheme: &'static str,
    /// HTTP/2 is told that trailers are understood.
    te_trailers: bool,
    /// Somebody may want it once more after an answer, or while a try is under way.
    pub(super) keeps: bool,
    /// A try took some of its body away, which was not kept: there cannot be another one.
    pub(super) gone: Cell<bool>,
}

/// What one try says about itself.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// Another Host than the client's.
    pub(super) host: Option<&'a str>,
    /// Which try it is, where endpoints are told.
    pub(super) number: Option<u32>,
}

impl Prepared {
    /// Lets `write` see the head, and what the proxy says about the request behind its fields.
    pub(super) fn write<R>(
        &self,
        told: Told<'_>,
        context: &Context,
        write: impl FnOnce(&Parts, Option<&Own>) -> R,
    ) -> R {
        let head = &mut *self.head.borrow_mut();
        if let Some(Ok(host)) = told.host.map(HeaderValue::from_str) {
            head.headers.insert(header::HOST, host);
        }
        let mut own = context.own.borrow_mut();
        match (told.number, own.as_mut()) {
            (None, _) => {}
            (Some(number), Some(own)) => own.attempt = Some(number),
            (Some(number), None) => {
                head.headers
                    .insert(&X_OUTRIGGER_ATTEMPT_COUNT, HeaderValue::from(number));
            }
        }
        write(head, own.as_ref())
    }

    /// Lets `read` fill a map with the fields of an answer: that of the request, which has been written and goes nowhere
    /// again, or another one where it may. It is filled at once, when the whole head has come.
    pub(super) fn with_answer_fields<R>(&self, read: impl FnOnce(&mut HeaderMap) -> R) -> R {
        if !self.keeps {
            return read(&mut self.head.borrow_mut().headers);
        }
        let mut fields = spare::take();
        let read = read(&mut fields);
        if fields.capacity() > 0 {
            spare::give_back(fields); // no head yet, or it was not understood
        }
        read
    }

    /// Writes the head for HTTP/2.
    pub(super) fn write_http2(&self, told: Told<'_>, context: &Context, block: &mut Block<'_>) {
        self.write(told, context, |head, own| {
            let fields = &head.headers;
            let authority = fields
                .get(header::HOST)
                .map_or(&b""[..], HeaderValue::as_bytes);
            let path = head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            block.request(&head.method, self.scheme, authority, path);
            for (name, value) in fields.iter().filter(|(name, _)| *name != header::HOST) {
                block.field(name, value.as_bytes());
            }
            if self.te_trailers {
                block.field(&header::TE, b"trailers");
            }
            if let Some(own) = own {
                own.each(|name, value| block.field(name, value));
            }
        });
    }

    /// Its method.
    pub(super) fn method(&self) -> Method {
        self.head.borrow().method.clone()
    }

    /// Whether `takes` a request with this method and these fields.
    pub(super) fn is(&self, takes: impl FnOnce(&Method, &HeaderMap) -> bool) -> bool {
        let head = self.head.borrow();
        takes(&head.method, &head.headers)
    }

    /// It is not needed any more.
    pub(super) fn let_go(self) {
        spare::give_back_head(self.head.into_inner());
    }
}

/// Prepares a request for its first try.
pub(super) fn prepare(
    mut head: Box<Parts>,
    body: &Body,
    upstream: &Upstream,
    context: &Context,
) -> Prepared {
    let wire = wire(upstream.protocol, context.is_grpc.get());
    if head.version == Version::HTTP_2 && wire == Wire::Http1 {
        join_cookies(&mut head.headers);
    }
    let upgrade = match wire {
        Wire::Http1 => http1_head(&mut head, upstream, context),
        Wire::Http2 => {
            http2_head(&mut head, upstream, context);
            false
        }
    };
    let repeatable = !upgrade && is_repeatable(&head.method, body);
    let scheme = if upstream.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let te_trailers = context.hop.get().is_some_and(|hop| hop.te_trailers);
    let (head, gone) = (RefCell::new(head), Cell::new(false));
    Prepared {
        head,
        wire,
        upgrade,
        repeatable,
        scheme,
        te_trailers,
        keeps: false,
        gone,
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

/// The codec writes the one framing field itself. Upgrades and `TE: trailers` are the proxy's own hop again.
fn http1_head(head: &mut Parts, upstream: &Upstream, context: &Context) -> bool {
    let version = std::mem::replace(&mut head.version, Version::HTTP_11);
    let hop = context.hop.get();
    let headers = &mut head.headers;
    if version < Version::HTTP_11 && !headers.contains_key(header::HOST) {
        // HTTP/1.0 may come without, all others are refused; HTTP/1.1 must not go without.
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

fn http2_head(head: &mut Parts, upstream: &Upstream, context: &Context) {
    head.version = Version::HTTP_2;
    let headers = &mut head.headers;
    headers.remove(header::TRANSFER_ENCODING);
    if context.is_request_complete() {
        headers.remove(header::EXPECT); // its client did not wait
    }
    if !headers.contains_key(header::HOST)
        && let Ok(authority) = HeaderValue::from_str(upstream.authority())
    {
        headers.insert(header::HOST, authority); // HTTP/1.0 may come without
    }
}

/// HTTP/2 may split one Cookie into crumbs; HTTP/1.1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    if let Some(joined) = cookie::joined(headers) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether a request may go out once more after its connection broke without an answer: a safe method, no body.
fn is_repeatable(method: &Method, body: &Body) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && body.is_end_stream()
}
