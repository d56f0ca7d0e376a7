//! The request body on its way to the upstream: counted, limited, and aborted if the client stops
//! sending.
//!
//! A body that the codec finds malformed is the client's fault: [`Reason::RequestBody`], not an
//! upstream's failure. HTTP/2 resets such a stream itself, and its task may end before the body is
//! read again, so the reason is checked once more in `drop`.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_config::model::Listener;
use outrigger_filters::{
    claim_headers::ClaimHeaders,
    context::{Context, progress::Response},
    error::Error,
    owned_headers,
    reason::Reason,
    recycle::Alarm,
    service::Body,
    trailers,
};
use tokio::time::Instant;

use crate::{
    codec::http2::{self, ErrorCode, incoming::Incoming},
    connection::{
        client::Client,
        link::{self, Broken},
    },
};

/// A request body from the client's connection.
pub(crate) enum Received {
    /// There is no body.
    Nothing,
    /// HTTP/1.1.
    Http1(link::Incoming),
    /// HTTP/2, a body that is still arriving.
    Http2(Incoming),
    /// HTTP/2, a body that is complete, and its trailers.
    Whole(Bytes, Option<Box<HeaderMap>>),
}

impl Received {
    fn poll_frame(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Nothing => Poll::Ready(None),
            Self::Http1(body) => body.poll_frame(cx).map_err(broken),
            Self::Http2(body) => body.poll_frame(cx).map_err(read_error),
            Self::Whole(data, trailers) => {
                let data = std::mem::take(data);
                let frame = match data.is_empty() {
                    false => Some(Frame::data(data)),
                    true => trailers.take().map(|trailers| Frame::trailers(*trailers)),
                };
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Whole(data, trailers) => data.is_empty() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Whole(data, None) => SizeHint::with_exact(data.len() as u64),
            Self::Whole(_, Some(_)) => SizeHint::default(),
        }
    }
}

/// A request body under the listener's limits.
pub(super) struct RequestBody {
    inner: Received,
    version: Version,
    client: Rc<Client>,
    context: Context,
    identity_trailers: Option<Arc<ClaimHeaders>>,
    left: Option<u64>,
    idle: Option<Duration>,
    /// When the wait for the client began.
    waits_since: Option<Instant>,
    /// Not the alarm of the exchange: an HTTP/2 connection to an upstream reads the body in a task
    /// of its own.
    alarm: Alarm,
    complete: bool,
    /// Other streams continue if this body is aborted.
    shares_connection: bool,
}

impl RequestBody {
    /// Wraps a body that has bytes; an empty one is complete already.
    pub(super) fn wrap(
        inner: Received,
        version: Version,
        client: &Rc<Client>,
        context: &Context,
        listener: &Listener,
        identity_trailers: Option<&Arc<ClaimHeaders>>,
    ) -> Body {
        let inner = match whole(inner, context, listener) {
            Ok(body) => return body,
            Err(inner) => inner,
        };
        Body::boxed(Self {
            inner,
            version,
            client: Rc::clone(client),
            context: Rc::clone(context),
            identity_trailers: identity_trailers.cloned(),
            left: listener.limits.body_bytes,
            idle: listener.timeouts.body_idle,
            waits_since: None,
            alarm: Alarm::default(),
            complete: false,
            shares_connection: version >= Version::HTTP_2,
        })
    }

    fn take(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        if let Some(fields) = frame.trailers_mut() {
            if trailers::bytes(fields) > trailers::MAX_BYTES {
                return Err(Error::Malformed(Reason::RequestTrailers));
            }
            let identity = self.identity_trailers.as_deref();
            trailers::strip_request(fields, |name| {
                owned_headers::owns(name) || identity.is_some_and(|names| names.owns(name))
            });
            return Ok(frame);
        }
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.context
            .bytes_in
            .set(self.context.bytes_in.get() + length);
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(length).ok_or(Error::BodyTooLarge)?;
        }
        Ok(frame)
    }

    fn completed(&mut self) {
        self.complete = true;
        self.context.complete_request(Instant::now());
    }

    /// Aborts the body: stores the error for everything that fails because of it, and returns a generic one.
    fn give_up(&mut self, error: Error) -> Error {
        if !self.shares_connection {
            self.client.close_after_response();
        }
        *self.context.body_failure.borrow_mut() = Some(error);
        Error::ClientGone("the request body was given up".into())
    }

    /// Whether the stream was reset because the client sent something malformed.
    fn was_malformed(&mut self) -> bool {
        let mut cx = TaskContext::from_waker(Waker::noop());
        loop {
            match self.inner.poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(_))) => {} // arrived before the reset
                Poll::Ready(Some(Err(error))) => return matches!(error, Error::Malformed(_)),
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
    }

    /// Records progress: data, or the end.
    fn moved(&mut self) {
        self.waits_since = None;
        if self.context.progress.response() == Response::Begun {
            self.context.progress.move_at(Instant::now());
        }
    }

    /// Whether the client has sent nothing for too long. Between the head and the end of the
    /// response only the response body decides that, because it also sees what the upstream sends.
    fn idle_too_long(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some(limit) = self.idle else { return false };
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let progress = &self.context.progress;
        let since = match progress.response() {
            Response::Awaited => since,
            Response::Begun => {
                progress.await_end(cx);
                return false;
            }
            Response::Ended => since.max(progress.moved()),
        };
        self.alarm.poll(since + limit, cx).is_ready()
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.context.want_body();
        let polled = self.inner.poll_frame(cx);
        if polled.is_ready() {
            self.moved();
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = self.take(frame);
                if taken.is_ok() && self.inner.is_end_stream() {
                    self.completed();
                }
                Poll::Ready(Some(taken.map_err(|error| self.give_up(error))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.give_up(error)))),
            Poll::Ready(None) => {
                self.completed();
                Poll::Ready(None)
            }
            Poll::Pending if self.idle_too_long(cx) => {
                Poll::Ready(Some(Err(self.give_up(Error::BodyIdle))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // Not for HTTP/1.1, where polling the body would send 100 Continue.
        let unread = !self.complete && !self.inner.is_end_stream();
        if unread && self.version == Version::HTTP_2 && self.was_malformed() {
            *self.context.body_failure.borrow_mut() = Some(Error::Malformed(Reason::RequestBody));
        }
    }
}

/// A body that has arrived completely, is within the limits, and needs no timeout.
fn whole(inner: Received, context: &Context, listener: &Listener) -> Result<Body, Received> {
    let body = match inner {
        Received::Whole(data, None)
            if listener
                .limits
                .body_bytes
                .is_none_or(|limit| data.len() as u64 <= limit) =>
        {
            context.bytes_in.set(data.len() as u64);
            Body::whole(data, None)
        }
        inner if inner.is_end_stream() => Body::Empty,
        inner => return Err(inner),
    };
    context.complete_request(context.started);
    Ok(body)
}

/// Why an HTTP/1.1 body did not end properly.
fn broken(why: Broken) -> Error {
    match why {
        Broken::Malformed(problem) => {
            tracing::debug!(problem, "malformed request body");
            Error::Malformed(Reason::RequestBody)
        }
        Broken::Gone(error) => Error::ClientGone(error.into()),
    }
}

/// Distinguishes a malformed HTTP/2 body from a client that went away: the error of the first was
/// not sent by the client.
fn read_error(error: http2::Error) -> Error {
    match error {
        http2::Error::Stream(ErrorCode::PROTOCOL_ERROR, _)
        | http2::Error::Connection(ErrorCode::PROTOCOL_ERROR, _) => {
            Error::Malformed(Reason::RequestBody)
        }
        other => Error::ClientGone(other.into()),
    }
}
