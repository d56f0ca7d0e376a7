//! Bodies of the origin's answers: boxed into one type, and paced where a route asks for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, Sleep, sleep};

/// The one body type of all answers.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Boxes any body of the origin.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    body.map_err(io::Error::other).boxed_unsync()
}

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}

/// A body that keeps its length to itself.
pub(super) struct Unsized<B>(pub(super) B);

impl<B: http_body::Body + Unpin> http_body::Body for Unsized<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

/// Sends one chunk at once and each further one after a fixed pause.
pub(super) struct Paced {
    chunk: fn(u64) -> Bytes,
    sent: u64,
    count: u64,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Paced {
    /// `count` chunks made by `chunk` from their number, `pause` apart.
    pub(super) fn new(count: u64, pause: Duration, chunk: fn(u64) -> Bytes) -> Self {
        Self { chunk, sent: 0, count, pause, timer: Box::pin(sleep(Duration::ZERO)) }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.sent == self.count {
            return Poll::Ready(None);
        }
        if self.sent > 0 && self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let pause = self.pause;
        self.timer.as_mut().reset(Instant::now() + pause);
        let chunk = (self.chunk)(self.sent);
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}
