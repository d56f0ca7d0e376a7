//! Opens connections to endpoints: TCP or a Unix socket.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::endpoint::{ConnectTo, Endpoint};

/// A connected socket of either kind.
pub(crate) enum UpstreamStream {
    /// TCP, Nagle off.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl UpstreamStream {
    /// Reads without waiting, and without a system call while nothing was announced.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }
}

/// A new connection and the address it went to (none for a Unix socket).
pub(crate) struct Connected {
    /// The socket.
    pub stream: UpstreamStream,
    /// Where it went.
    pub address: Option<SocketAddr>,
}

/// Connects to `endpoint`: its addresses one after the other, all within `limit`.
///
/// # Errors
/// The last address's error, or `TimedOut`; `AddrNotAvailable` when a host name has no address.
pub(crate) async fn connect(endpoint: &Endpoint, limit: Duration) -> io::Result<Connected> {
    match timeout(limit, connect_any(endpoint)).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within connectTimeout")),
    }
}

async fn connect_any(endpoint: &Endpoint) -> io::Result<Connected> {
    let addresses = match endpoint.connect_to() {
        ConnectTo::Tcp(addresses) => addresses,
        ConnectTo::Unix(path) => {
            let stream = UnixStream::connect(path.as_path()).await?;
            return Ok(Connected { stream: UpstreamStream::Unix(stream), address: None });
        }
    };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Connected { stream: UpstreamStream::Tcp(stream), address: Some(address) });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // sockets have no buffer of their own
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
