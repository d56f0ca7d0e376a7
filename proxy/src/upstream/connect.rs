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
///
/// An upstream may answer before it has read the request's body, and close: writing then fails while its answer
/// waits to be read. So a failed write is kept quiet, what follows is thrown away, and reading tells how it ended.
pub(crate) struct UpstreamStream {
    socket: Socket,
    /// Failed writes are kept quiet.
    quiet: bool,
    /// One has failed.
    deaf: bool,
}

enum Socket {
    /// TCP, Nagle off.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
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
            return Ok(Connected { stream: UpstreamStream::new(Socket::Unix(stream)), address: None });
        }
    };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Connected {
                    stream: UpstreamStream::new(Socket::Tcp(stream)),
                    address: Some(address),
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl UpstreamStream {
    fn new(socket: Socket) -> Self {
        Self { socket, quiet: true, deaf: false }
    }

    /// Tells failed writes from now on: in a tunnel nothing else may tell that nobody listens any more.
    pub(crate) fn tell_failed_writes(&mut self) {
        (self.quiet, self.deaf) = (false, false);
    }

    fn written(&mut self, result: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if self.quiet && is_closed(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(offered))
            }
            result => result,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.written(result, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = || bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(offered()));
        }
        let result = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.written(result, offered())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // sockets have no buffer of their own
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
