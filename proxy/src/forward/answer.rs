//! The upstream's answer: checked, cleaned, and its body with the connection it comes over.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Version, header, response::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use outrigger_filters::{context::Context, error::Error, hop_by_hop, service::Body};

use super::Attempt;
use crate::upstream::{
    endpoint::InFlight,
    pool::{Lease, Stream},
};

/// Why an answer can be read in more than one way (security.md 1).
pub(super) fn ambiguous(head: &Parts) -> Option<&'static str> {
    if head.version == Version::HTTP_2 {
        return None;
    }
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(encoding) = encodings.next() {
        if length.is_some() {
            return Some("Content-Length with Transfer-Encoding");
        }
        if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Some("a Transfer-Encoding other than chunked");
        }
    }
    let plain = |value: &HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some() || length.is_some_and(|value| !plain(value)) {
        return Some("a Content-Length that is not one number");
    }
    None
}

/// Removes what was meant for the hop between the upstream and us.
pub(super) fn clean(head: &mut Parts) {
    hop_by_hop::strip_response(&mut head.headers);
    head.headers.remove(header::TRANSFER_ENCODING);
    head.version = Version::HTTP_11;
}

/// The same for a 101, whose `Upgrade` the client must see.
pub(super) fn clean_upgrade(head: &mut Parts) {
    let upgrade = hop_by_hop::strip_response(&mut head.headers).upgrade;
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(upgrade) = upgrade {
        head.headers.insert(header::UPGRADE, upgrade);
    }
}

/// Whether the peer refused the stream before doing anything with it (RFC 9113 section 8.7).
pub(super) fn is_refused_stream(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Whether the whole HTTP/2 connection ended, and not this stream alone.
pub(super) fn is_broken_connection(error: &hyper::Error) -> bool {
    let Some(source) = error.source() else { return error.is_closed() || error.is_canceled() };
    // hyper takes h2's I/O errors out of their wrapping.
    source.is::<io::Error>() || source.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_go_away)
}

/// What a failed send or a broken body means. A request body that was given up explains everything after it.
pub(super) fn failure(error: hyper::Error, endpoint: &Arc<str>, context: &Context) -> Error {
    if let Some(cause) = context.body_failure.borrow_mut().take() {
        return cause;
    }
    let endpoint = Arc::clone(endpoint);
    if error.is_parse() || is_bad_framing(&error) {
        Error::UpstreamProtocol { endpoint, cause: error.into() }
    } else {
        Error::UpstreamClosed { endpoint, cause: error.into() }
    }
}

/// hyper's decoder reports broken chunks as invalid input.
fn is_bad_framing(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// What an answer's body comes over.
enum Connection {
    Http1(Lease),
    Http2 { _stream: Stream },
}

/// The body of an upstream's answer. It drives its HTTP/1.1 connection, and gives it back with the last byte.
pub(super) struct AnswerBody {
    inner: Incoming,
    connection: Option<Connection>,
    in_flight: Option<InFlight>,
    endpoint: Arc<str>,
    context: Context,
}

impl AnswerBody {
    pub(super) fn http1(inner: Incoming, lease: Lease, in_flight: InFlight, attempt: &Attempt<'_>) -> Body {
        if inner.is_end_stream() {
            lease.release();
            return Body::Empty;
        }
        Self::wrap(inner, Connection::Http1(lease), in_flight, attempt)
    }

    pub(super) fn http2(inner: Incoming, stream: Stream, in_flight: InFlight, attempt: &Attempt<'_>) -> Body {
        if inner.is_end_stream() {
            return Body::Empty;
        }
        Self::wrap(inner, Connection::Http2 { _stream: stream }, in_flight, attempt)
    }

    fn wrap(inner: Incoming, connection: Connection, in_flight: InFlight, attempt: &Attempt<'_>) -> Body {
        Body::boxed(Self {
            inner,
            connection: Some(connection),
            in_flight: Some(in_flight),
            endpoint: Arc::clone(&attempt.pool.endpoint().label),
            context: attempt.context.clone(),
        })
    }

    fn release(&mut self) {
        if let Some(Connection::Http1(lease)) = self.connection.take() {
            lease.release();
        }
        self.in_flight = None;
    }

    /// Data that is there already first; only then the connection that brings more.
    fn poll_inner(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &mut self.connection {
            Some(Connection::Http1(lease)) if polled.is_pending() => {
                lease.drive(cx);
                Pin::new(&mut self.inner).poll_frame(cx)
            }
            _ => polled,
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll_inner(cx);
        if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && self.inner.is_end_stream()) {
            self.release();
        }
        polled.map_err(|error| failure(error, &self.endpoint, &self.context))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.release(); // the length was known, so nobody asked for the end; otherwise the connection closes
        }
    }
}
