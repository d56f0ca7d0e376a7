//! The response body on its way to the client: counted, aborted if the upstream stalls, and the
//! place where every end of an exchange is noticed.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{error::Error, grpc, service::Body};
use tokio::time::Instant;

use super::record::Record;

/// A response body with the guard of its exchange.
pub(super) struct ResponseBody {
    inner: Body,
    record: Option<Record>,
    /// The remaining bytes, if the length is known: the client's side stops polling after the last.
    left: Option<u64>,
    idle: Option<Duration>,
    /// Whether the last poll was pending: the upstream has to send.
    waits: bool,
    /// Returned by the next poll: over HTTP/2 a reset discards what was not written.
    failed: Option<Error>,
    version: Version,
}

impl ResponseBody {
    pub(super) fn wrap(
        inner: Body,
        record: Record,
        idle: Option<Duration>,
        version: Version,
    ) -> Body {
        let left = inner.size_hint().exact();
        Body::boxed(Self {
            inner,
            record: Some(record),
            left,
            idle,
            waits: false,
            failed: None,
            version,
        })
    }

    fn took(&mut self, frame: &Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(record) = &self.record {
            let sent = &record.exchange().bytes_out;
            sent.set(sent.get() + length);
        }
        self.left = self.left.map(|left| left.saturating_sub(length));
    }

    /// Delays `error` by one poll, so that what came before it is written first.
    fn broke(
        &mut self,
        error: Error,
        cx: &TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(record) = self.record.take() {
            record.failed(&error);
        }
        self.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the deadline of a gRPC call has passed.
    fn is_late(&self, cx: &mut TaskContext<'_>) -> bool {
        let Some(exchange) = self.record.as_ref().map(Record::exchange) else {
            return false;
        };
        exchange
            .deadline
            .get()
            .is_some_and(|deadline| exchange.poll_deadline(deadline, cx).is_ready())
    }

    /// Ends a call whose deadline has passed: with gRPC trailers if possible, so that the client
    /// gets the status.
    fn give_up(&mut self, cx: &TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let error = Error::GrpcTimeout;
        if self.version < Version::HTTP_2 || self.left.is_some() {
            return self.broke(error, cx);
        }
        if let Some(record) = self.record.take() {
            record.failed(&error);
        }
        self.inner = Body::Empty;
        let status = grpc::status_of(StatusCode::GATEWAY_TIMEOUT);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(u16::from(status)));
        trailers.insert("grpc-message", HeaderValue::from_static(error.message()));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    /// Whether neither body has made progress for too long. The time in which the client reads does
    /// not count: its stream and the connection's own timer limit that.
    fn idle_too_long(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let Some((limit, record)) = self.idle.zip(self.record.as_ref()) else {
            return false;
        };
        let exchange = record.exchange();
        if !std::mem::replace(&mut self.waits, true) {
            exchange.progress.move_at(Instant::now());
        }
        exchange
            .poll_deadline(exchange.progress.moved() + limit, cx)
            .is_ready()
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.waits = false;
                self.took(frame);
            }
            Poll::Ready(None) => drop(self.record.take()),
            Poll::Pending if self.is_late(cx) => return self.give_up(cx),
            Poll::Pending if self.idle_too_long(cx) => return self.broke(Error::StreamIdle, cx),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        match polled {
            Poll::Ready(Some(Err(error))) => self.broke(error, cx),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(record) = &self.record
            && self.left != Some(0)
            && !self.inner.is_end_stream()
        {
            if record.exchange().stalled.get() {
                record.stalled()
            } else {
                record.client_went_away()
            }
        }
    }
}
