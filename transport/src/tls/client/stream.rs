//! An open TLS connection to an endpoint.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::{Connector, failure};

/// A TLS stream. It reports errors of the library to the observer, since with TLS 1.3 an endpoint
/// rejects a client certificate only after the handshake.
pub struct Encrypted {
    stream: Box<TlsStream<Wire>>,
    connector: Arc<Connector>,
    authority: Box<str>,
}

impl Encrypted {
    pub(super) fn new(stream: TlsStream<Wire>, connector: Arc<Connector>, authority: &str) -> Self {
        Self {
            stream: Box::new(stream),
            connector,
            authority: authority.into(),
        }
    }

    /// Starts to watch whether any byte is written.
    #[inline]
    pub fn begin(&mut self) {
        self.stream.get_mut().0.wrote = false;
    }

    /// Whether any byte was sent on the socket since [`Self::begin`]. Bytes that the TLS library
    /// still buffers do not count.
    #[inline]
    pub fn has_written(&self) -> bool {
        self.stream.get_ref().0.wrote
    }

    /// Reads without waiting. TLS messages without application data, such as session tickets, are
    /// processed and are nothing to read.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut *self.stream).poll_read(&mut context, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Sends close_notify (RFC 8446 section 6.1), as far as that is possible without waiting.
    pub fn close_notify(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut *self.stream).poll_shutdown(&mut context);
    }

    fn explained(&self, error: io::Error) -> io::Error {
        match failure::library(&error) {
            Some(said) => self
                .connector
                .fail(&self.authority, failure::of(said.clone())),
            None => error,
        }
    }
}

impl AsyncRead for Encrypted {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, buffer));
        Poll::Ready(read.map_err(|error| self.explained(error)))
    }
}

impl AsyncWrite for Encrypted {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes));
        Poll::Ready(written.map_err(|error| self.explained(error)))
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.stream).poll_write_vectored(cx, bytes));
        Poll::Ready(written.map_err(|error| self.explained(error)))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

/// The socket below TLS; it notes which bytes were really sent.
pub(super) struct Wire {
    socket: TcpStream,
    wrote: bool,
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            wrote: false,
        }
    }
}

impl AsyncRead for Wire {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes));
        self.wrote |= written.as_ref().is_ok_and(|written| *written > 0);
        Poll::Ready(written)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bytes));
        self.wrote |= written.as_ref().is_ok_and(|written| *written > 0);
        Poll::Ready(written)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
