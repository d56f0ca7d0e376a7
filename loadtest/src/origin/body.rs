//! Bodies of the origin's responses: boxed into one type, with pauses in some routes.

use std::io;
use std::iter::Peekable;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, Sleep, sleep};

/// The body type of all responses.
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

/// A body without an announced length.
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
pub(crate) struct Paced<I: Iterator> {
    chunks: Peekable<I>,
    pause: Duration,
    /// None before the first chunk.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<I: Iterator<Item = Bytes>> Paced<I> {
    /// These chunks, `pause` apart.
    pub(crate) fn new(chunks: I, pause: Duration) -> Self {
        Self {
            chunks: chunks.peekable(),
            pause,
            timer: None,
        }
    }
}

impl<I: Iterator<Item = Bytes> + Unpin> http_body::Body for Paced<I> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.chunks.peek().is_none() {
            return Poll::Ready(None);
        }
        let pause = self.pause;
        match &mut self.timer {
            None => self.timer = Some(Box::pin(sleep(pause))),
            Some(timer) => {
                ready!(timer.as_mut().poll(cx));
                timer.as_mut().reset(Instant::now() + pause);
            }
        }
        Poll::Ready(self.chunks.next().map(|chunk| Ok(Frame::data(chunk))))
    }
}
