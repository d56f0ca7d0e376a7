//! Actions of a handler on its connection: reset it after the bytes sent so far, or write raw bytes
//! before the response. hyper has neither, so the handler stores a request and the socket wrapper
//! executes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::Version;
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::content::Content;
use crate::stream::Stream;

/// The handler's side: requests for the connection of its HTTP request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes(Arc<Wished>);

#[derive(Debug, Default)]
struct Wished {
    reset: AtomicBool,
    reset_when_killed: AtomicBool,
    has_prelude: AtomicBool,
    prelude: Mutex<Bytes>,
}

impl Wishes {
    /// Resets the connection when it is dropped before it [ended](Self::ended).
    pub(crate) fn reset_when_killed() -> Self {
        Self(Arc::new(Wished {
            reset_when_killed: AtomicBool::new(true),
            ..Wished::default()
        }))
    }

    /// The connection has ended; a reset now could discard the last bytes of a response.
    pub(crate) fn ended(&self) {
        self.0.reset_when_killed.store(false, Ordering::Relaxed);
    }

    /// Resets the connection once everything written before has reached the kernel.
    pub(crate) fn reset_when_flushed(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// Sends `bytes` before the next write.
    pub(crate) fn send_first(&self, bytes: Bytes) {
        *self.prelude() = bytes;
        self.0.has_prelude.store(true, Ordering::Relaxed);
    }

    fn prelude(&self) -> std::sync::MutexGuard<'_, Bytes> {
        self.0
            .prelude
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's side: the socket, which executes the requests.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    wishes: Wishes,
    /// Bytes that were already read from it elsewhere.
    read: Bytes,
}

impl Socket {
    pub(crate) fn new(stream: Stream, wishes: Wishes) -> Self {
        Self {
            stream,
            wishes,
            read: Bytes::new(),
        }
    }

    /// Puts bytes that were read from the stream back before the rest.
    pub(crate) fn having_read(mut self, read: Bytes) -> Self {
        self.read = read;
        self
    }

    fn wants_reset(&self) -> bool {
        self.wishes.0.reset.load(Ordering::Relaxed)
    }

    fn poll_prelude(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wishes.0.has_prelude.load(Ordering::Relaxed) {
            let mut prelude = self.wishes.prelude();
            while prelude.has_remaining() {
                match Pin::new(&mut self.stream).poll_write(cx, &prelude) {
                    Poll::Ready(Ok(written)) => prelude.advance(written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.wishes.0.has_prelude.store(false, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.wants_reset() || self.wishes.0.reset_when_killed.load(Ordering::Relaxed) {
            // On failure the connection is closed normally, and only the reset is lost.
            let _ = self.stream.reset_on_close();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.poll_prelude(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_write(cx, buf),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.poll_prelude(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper and h2 call this only when their own buffers are empty, so the bytes before the reset
    /// are written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wants_reset() {
            self.stream.reset_on_close()?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A body that is never complete: after its bytes it requests the reset.
#[derive(Debug)]
pub(crate) struct Aborted {
    content: Content,
    wishes: Wishes,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Time for the HTTP/2 connection task to write the queued data of the stream.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

impl Aborted {
    pub(crate) fn after(length: u64, version: Version, wishes: Wishes) -> Self {
        let pause = (version == Version::HTTP_2).then(|| Box::pin(sleep(QUEUE_PAUSE)));
        Self {
            content: Content::new(length),
            wishes,
            pause,
        }
    }

    /// On HTTP/1.1 the flush after a pending body closes the connection, so no wake-up is needed.
    /// On HTTP/2 it is the flush of the RST_STREAM that this error causes.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(pause) = &mut self.pause else {
            self.wishes.reset_when_flushed();
            return Poll::Pending;
        };
        pause.as_mut().poll(cx).map(|()| {
            self.wishes.reset_when_flushed();
            io::ErrorKind::ConnectionReset.into()
        })
    }
}

impl Body for Aborted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.content.next_frame() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => self.poll_reset(cx).map(|error| Some(Err(error))),
        }
    }
}
