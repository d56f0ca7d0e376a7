//! The client's socket as the connection tasks see it: bytes can be put back in front, and two things are watched
//! for the clocks: whether anything was read, and since when writing has been stuck.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

/// What the connection task watches.
#[derive(Default)]
pub(crate) struct Watch {
    read: Cell<u64>,
    stuck_since: Cell<Option<Instant>>,
}

impl Watch {
    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    /// Since when the peer has taken none of what is to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since.get()
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (&result, self.stuck_since.get()) {
            (Poll::Ready(_), Some(_)) => self.stuck_since.set(None),
            (Poll::Pending, None) => self.stuck_since.set(Some(Instant::now())),
            _ => {}
        }
        result
    }
}

/// A client's socket.
pub(crate) struct ClientIo {
    socket: TcpStream,
    /// Read already, but not by the one who reads now.
    front: Bytes,
    watch: Rc<Watch>,
}

impl ClientIo {
    /// A socket from which `front` was read already.
    pub(crate) fn new(socket: TcpStream, front: Bytes, watch: Rc<Watch>) -> Self {
        watch.read.set(front.len() as u64);
        Self { socket, front, watch }
    }

    /// Whether bytes were put back that nobody has read since.
    pub(crate) fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    /// Puts bytes back that were read too early.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        debug_assert!(self.front.is_empty(), "only the last reader puts back");
        self.front = bytes;
    }

    /// Waits until there is something to read, holding no buffer meanwhile.
    ///
    /// # Errors
    /// The socket broke.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.front.is_empty() { self.socket.readable().await } else { Ok(()) }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.front.is_empty() {
            let count = self.front.len().min(buf.remaining());
            buf.put_slice(&self.front[..count]);
            self.front.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let read = self.watch.read.get() + (buf.filled().len() - before) as u64;
        self.watch.read.set(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the socket has no buffer of its own
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
