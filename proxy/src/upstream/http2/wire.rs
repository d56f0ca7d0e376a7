//! The socket of an HTTP/2 connection to an endpoint: what its frames tell is noted, and empty DATA is removed.
//!
//! An endpoint that floods the connection with DATA that carries nothing ends it: that costs the endpoint's own
//! streams, and nothing else.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Link;
use crate::{
    codec::http2::{
        SMALL,
        frames::{EmptyData, Frame, Sieve},
    },
    upstream::connect::UpstreamStream,
};

/// Bytes after which a connection lets others go first.
const TURN: usize = 128 * 1024;

/// The socket as `h2` sees it.
pub(super) struct Wire {
    stream: UpstreamStream,
    link: Rc<Link>,
    sieve: Sieve,
    empty: EmptyData,
    /// What may still be read in this turn.
    left: usize,
}

impl Wire {
    pub(super) fn new(stream: UpstreamStream, link: Rc<Link>) -> Self {
        Self { stream, link, sieve: Sieve::default(), empty: EmptyData::default(), left: TURN }
    }
}

/// What one frame tells.
fn note(link: &Link, empty: &mut EmptyData, frame: &Frame<'_>) {
    match frame.kind {
        Frame::DATA if frame.length > 0 && frame.length < SMALL => link.bodies.saw_small_frame(),
        Frame::SETTINGS if frame.flags & Frame::ACK == 0 => link.settings_came(),
        Frame::GOAWAY => link.end(),
        _ => {}
    }
    empty.see(frame);
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, link, sieve, empty, left } = &mut *self;
        if *left == 0 || link.bodies.is_due() {
            *left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = sieve.poll_read(cx, stream, buf, &mut |frame: &Frame<'_>| note(link, empty, frame));
        if empty.is_flood() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a flood of empty DATA")));
        }
        *left = left.saturating_sub(buf.filled().len() - before);
        polled.map_err(|error| link.failed(error))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        result.map_err(|error| self.link.failed(error))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        result.map_err(|error| self.link.failed(error))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
