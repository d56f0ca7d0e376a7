//! A request body that is copied while it is forwarded.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{error::Error, service::Body};

use super::{Copy, MAX_BODY};

/// Sends the copy when the body is complete; drops it when the body is too long or fails.
pub(super) struct Tee {
    inner: Body,
    copy: Option<Copy>,
    kept: BytesMut,
}

impl Tee {
    pub(super) fn wrap(inner: Body, copy: Copy) -> Body {
        Body::boxed(Self {
            inner,
            copy: Some(copy),
            kept: BytesMut::new(),
        })
    }

    fn keep(&mut self, data: &Bytes) {
        if self.copy.is_none() {
            return;
        }
        if self.kept.len() + data.len() <= MAX_BODY {
            self.kept.extend_from_slice(data);
        } else if let Some(copy) = self.copy.take() {
            self.kept = BytesMut::new();
            copy.too_large();
        }
    }

    fn send(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.send(std::mem::take(&mut self.kept).freeze());
        }
    }
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(data);
                }
                // A reader that knows the length may not poll for the end.
                if self.inner.is_end_stream() {
                    self.send();
                }
            }
            Poll::Ready(Some(Err(_))) => self.copy = None,
            Poll::Ready(None) => self.send(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
