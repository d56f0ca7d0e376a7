//! The upstream's response: checked, cleaned, and its body with the connection that it arrives on.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header, response::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{
    context::Context, error::Error, hop_by_hop, reason::Reason, service::Body, trailers,
};
use outrigger_transport::tls::client::TlsFailed;
use tokio::time::timeout_at;

use super::Attempt;
use crate::{
    codec::http2::{
        self, ErrorCode,
        incoming::{Arrived, Incoming},
        sending::{self, Stopped},
    },
    telemetry::handshakes,
    upstream::{
        breaker::Full,
        http1::{Failure, Reading, Sending},
        in_flight::InFlight,
        pool::{Lease, Stream},
    },
};

/// Removes hop-by-hop fields of the upstream's connection.
pub(super) fn clean(head: &mut Parts, has_hop_fields: bool) {
    if has_hop_fields {
        hop_by_hop::strip_response(&mut head.headers);
        head.headers.remove(header::TRANSFER_ENCODING);
    }
    head.version = Version::HTTP_11;
}

/// The same for a 101, whose `Upgrade` the client needs.
pub(super) fn clean_upgrade(head: &mut Parts) {
    let upgrade = hop_by_hop::strip_response(&mut head.headers).upgrade;
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(upgrade) = upgrade {
        head.headers.insert(header::UPGRADE, upgrade);
    }
}

/// The error for a failed HTTP/1.1 exchange. If the request body failed, its error is the cause of
/// every later one.
pub(super) fn failure(failure: Failure, endpoint: &Arc<str>, context: &Context) -> Error {
    if let Some(cause) = context.body_failure.borrow_mut().take() {
        return cause;
    }
    let endpoint = Arc::clone(endpoint);
    match failure {
        Failure::RequestBody(error) => error,
        // With TLS 1.3 an endpoint rejects the proxy's certificate only after the handshake.
        Failure::Closed(error) if TlsFailed::within(&error).is_some() => {
            connect_failed(error, &endpoint)
        }
        Failure::Closed(error) => Error::UpstreamClosed {
            endpoint,
            cause: error.into(),
        },
        Failure::Protocol(problem) => Error::UpstreamProtocol {
            endpoint,
            cause: problem.into(),
        },
    }
}

/// The error for a failed connect.
pub(super) fn connect_failed(error: io::Error, endpoint: &Arc<str>) -> Error {
    if let Some(Full { upstream, state }) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        let (upstream, state) = (Arc::clone(upstream), state.clone());
        return Error::Overloaded {
            upstream,
            reason: Reason::UpstreamMaxPendingRequests,
            state,
        };
    }
    let reason = TlsFailed::within(&error).map_or(Reason::UpstreamConnectFailed, |failed| {
        handshakes::reason_of(failed.failure)
    });
    Error::ConnectFailed {
        endpoint: Arc::clone(endpoint),
        reason,
        cause: error.into(),
    }
}

/// The same for HTTP/2.
pub(super) fn http2_failure(error: http2::Error, endpoint: &Arc<str>, context: &Context) -> Error {
    if let Some(cause) = context.body_failure.borrow_mut().take() {
        return cause;
    }
    let endpoint = Arc::clone(endpoint);
    if error.is_protocol() {
        Error::UpstreamProtocol {
            endpoint,
            cause: error.into(),
        }
    } else {
        Error::UpstreamClosed {
            endpoint,
            cause: error.into(),
        }
    }
}

/// Sends the rest of a request whose response has begun. A body that fails resets the stream.
pub(super) async fn upload(mut rest: sending::Sending, mut body: Body) {
    let sent = poll_fn(|cx| match rest.poll(cx, &mut body) {
        // An endpoint that needs no more of it resets the stream, which no other code notices once
        // the response has begun.
        Poll::Pending => rest.stream().poll_reset(cx).map(|()| Err(Stopped::Stream)),
        sent => sent,
    });
    if let Err(Stopped::Body(_)) = sent.await {
        rest.reset(ErrorCode::CANCEL);
    }
}

/// The connection of a response body.
enum Source {
    Http1 {
        /// `None` once it was returned to the pool.
        lease: Option<Lease>,
        reading: Reading,
        /// The rest of the request.
        rest: Option<(Body, Sending)>,
    },
    Http2 {
        /// `None` after the last byte.
        incoming: Option<Incoming>,
        stream: Option<Stream>,
    },
}

/// The body of an upstream's response. Over HTTP/1.1 it drives its connection, and returns it to
/// the pool with the last byte.
pub(super) struct AnswerBody {
    source: Source,
    in_flight: Option<InFlight>,
    endpoint: Arc<str>,
    context: Context,
}

impl AnswerBody {
    pub(super) fn http1(
        mut reading: Reading,
        rest: Option<(Body, Sending)>,
        mut lease: Lease,
        in_flight: Option<InFlight>,
        attempt: &Attempt<'_>,
    ) -> Body {
        let whole = match reading.is_done() {
            true => Some(Bytes::new()),
            false => lease.connection().take_whole(&mut reading),
        };
        match whole {
            Some(whole) => {
                if rest.is_none() && reading.keeps_alive() {
                    lease.release();
                }
                if whole.is_empty() {
                    Body::Empty
                } else {
                    Body::Full(whole)
                }
            }
            None => Self::wrap(
                Source::Http1 {
                    lease: Some(lease),
                    reading,
                    rest,
                },
                in_flight,
                attempt,
            ),
        }
    }

    pub(super) fn http2(
        arrived: Arrived,
        stream: Stream,
        mut in_flight: Option<InFlight>,
        attempt: &Attempt<'_>,
    ) -> Body {
        match arrived {
            Arrived::Nothing => {
                finish_upload(stream, &attempt.call.context);
                Body::Empty
            }
            Arrived::Whole(data, mut trailers) => {
                finish_upload(stream, &attempt.call.context);
                if let Some(fields) = &mut trailers {
                    handed_on(fields, &mut in_flight);
                }
                Body::whole(data, trailers)
            }
            Arrived::Some(incoming) => {
                let source = Source::Http2 {
                    incoming: Some(incoming),
                    stream: Some(stream),
                };
                Self::wrap(source, in_flight, attempt)
            }
        }
    }

    fn wrap(source: Source, in_flight: Option<InFlight>, attempt: &Attempt<'_>) -> Body {
        Body::boxed(Self {
            source,
            in_flight,
            endpoint: Arc::clone(&attempt.pool.endpoint().address.label),
            context: Rc::clone(&attempt.call.context),
        })
    }

    /// After the last byte: returns the connection to the pool, or closes it if it cannot be
    /// reused.
    fn release(&mut self) {
        self.in_flight = None;
        if let Source::Http2 { incoming, stream } = &mut self.source {
            *incoming = None;
            if let Some(stream) = stream.take() {
                finish_upload(stream, &self.context);
            }
        }
        if let Source::Http1 {
            lease,
            reading,
            rest,
        } = &mut self.source
            && let Some(lease) = lease
                .take()
                .filter(|_| rest.is_none() && reading.keeps_alive())
        {
            lease.release();
        }
    }
}

/// How long an endpoint may stop reading the rest of a request after its response has ended.
const REST: Duration = Duration::from_secs(30);

/// Sends the rest of a request whose response has ended, in a task of its own: the exchange is not
/// polled any more.
fn finish_upload(stream: Stream, context: &Context) {
    let Some(mut upload) = context.take_upload() else {
        return;
    };
    let context = Rc::clone(context);
    tokio::task::spawn_local(async move {
        let _stream = stream; // it counts as a stream of its connection until the last byte
        loop {
            let moved = context.progress.moved();
            match timeout_at(moved + REST, &mut upload).await {
                Ok(()) => break,
                Err(_) if context.progress.moved() == moved => break,
                Err(_) => {}
            }
        }
    });
}

/// Prepares the trailers of a response for the client, and records their gRPC status.
fn handed_on(fields: &mut HeaderMap, in_flight: &mut Option<InFlight>) {
    trailers::strip_response(fields);
    in_flight
        .iter_mut()
        .for_each(|in_flight| in_flight.trailers(fields));
}

/// Sends the rest of the request, then reads.
fn poll_http1(
    cx: &mut TaskContext<'_>,
    lease: &mut Option<Lease>,
    reading: &mut Reading,
    rest: &mut Option<(Body, Sending)>,
) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
    let Some(lease) = lease else {
        return Poll::Ready(None);
    };
    if let Some((body, sending)) = rest {
        match lease.connection().poll_send(cx, body, sending) {
            // The endpoint did not read everything, so the rest is kept here and the connection is
            // not reused.
            Poll::Ready(Ok(())) if sending.is_done() && lease.connection().has_flushed() => {
                *rest = None
            }
            Poll::Ready(Err(failure)) => return Poll::Ready(Some(Err(failure))),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    lease.connection().poll_frame(cx, reading)
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // The response was aborted: break the cycle of upload and exchange, which own each other.
        drop(self.context.take_upload());
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let mut polled = match &mut this.source {
            Source::Http1 {
                lease,
                reading,
                rest,
            } => poll_http1(cx, lease, reading, rest)
                .map_err(|error| failure(error, &this.endpoint, &this.context)),
            Source::Http2 { incoming, .. } => {
                this.context.poll_upload(cx);
                let polled = incoming
                    .as_mut()
                    .map_or(Poll::Ready(None), |incoming| incoming.poll_frame(cx));
                polled.map_err(|error| http2_failure(error, &this.endpoint, &this.context))
            }
        };
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(fields) = frame.trailers_mut() {
                    handed_on(fields, &mut this.in_flight);
                }
            }
            Poll::Ready(Some(Err(error))) => this
                .in_flight
                .iter_mut()
                .for_each(|in_flight| in_flight.failed(error)),
            _ => {}
        }
        if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && this.is_end_stream()) {
            this.release();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http1 { reading, .. } => reading.is_done(),
            Source::Http2 { incoming, .. } => incoming.as_ref().is_none_or(Incoming::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http1 { reading, .. } => reading
                .left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::Http2 { incoming, .. } => incoming
                .as_ref()
                .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint),
        }
    }
}
