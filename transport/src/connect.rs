//! Opens connections to addresses: TCP, TLS over it, or a Unix socket.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    address::{Address, ConnectTo},
    race,
    tls::client::{AppProtocol, Connector, Encrypted, TlsConnection},
};

/// A connection of any kind.
pub enum UpstreamStream {
    /// TCP with TCP_NODELAY.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Encrypted),
}

impl UpstreamStream {
    /// Reads without waiting, and without a system call while the runtime has seen no readiness.
    #[inline]
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
            Self::Tls(stream) => stream.try_read(buffer),
        }
    }

    /// Starts to watch whether any byte is written.
    #[inline]
    pub fn begin(&mut self) {
        if let Self::Tls(stream) = self {
            stream.begin();
        }
    }

    /// Whether any byte was sent since [`Self::begin`]. `None` where only the writer of the stream
    /// can say.
    #[inline]
    pub fn has_written(&self) -> Option<bool> {
        match self {
            Self::Tls(stream) => Some(stream.has_written()),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Signals an orderly end of the stream where the protocol has a message for it (TLS:
    /// close_notify). Not for a connection that ends in the middle of a message.
    pub fn close_notify(&mut self) {
        if let Self::Tls(stream) = self {
            stream.close_notify();
        }
    }
}

/// A new connection and the address it went to (none for a Unix socket).
pub struct Connected {
    /// The socket.
    pub stream: UpstreamStream,
    /// The address of the server.
    pub address: Option<SocketAddr>,
    /// Whether an earlier TLS session was resumed; `None` without TLS.
    pub resumed: Option<bool>,
    /// Whether ALPN selected HTTP/2.
    pub http2: bool,
}

impl Connected {
    fn plain(stream: UpstreamStream, address: Option<SocketAddr>) -> Self {
        Self {
            stream,
            address,
            resumed: None,
            http2: false,
        }
    }
}

/// The TLS settings of a connection and the protocol inside it.
#[derive(Clone, Copy)]
pub struct Secure<'a> {
    /// Trust, certificate and sessions of the upstream.
    pub connector: &'a Arc<Connector>,
    /// The application protocol inside TLS.
    pub app_protocol: AppProtocol,
}

/// Connects to `address`, all within `limit`: to the first address of the name that accepts,
/// followed by the TLS handshake where TLS is configured.
///
/// # Errors
/// The last address's error, or `TimedOut`; `AddrNotAvailable` when a host name has no address. A
/// TLS failure is a [`crate::tls::client::TlsFailed`] inside.
pub async fn connect(
    address: &Address,
    secure: Option<Secure<'_>>,
    limit: Duration,
) -> io::Result<Connected> {
    // Atomic, because health checks run on a runtime that may move tasks.
    let handshaking = AtomicBool::new(false);
    let connected = timeout(limit, async {
        let connected = connect_any(address).await?;
        let Some(Secure {
            connector,
            app_protocol,
        }) = secure
        else {
            return Ok(connected);
        };
        let UpstreamStream::Tcp(stream) = connected.stream else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "TLS is supported over TCP only",
            ));
        };
        handshaking.store(true, Relaxed);
        let TlsConnection {
            stream,
            resumed,
            http2,
        } = connector
            .handshake(stream, &address.spec.authority, app_protocol)
            .await?;
        let stream = UpstreamStream::Tls(stream);
        Ok(Connected {
            stream,
            address: connected.address,
            resumed: Some(resumed),
            http2,
        })
    });
    match connected.await {
        Ok(result) => result,
        Err(_) => match secure.filter(|_| handshaking.load(Relaxed)) {
            Some(secure) => Err(secure.connector.timed_out(&address.spec.authority)),
            None => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no connection within connectTimeout",
            )),
        },
    }
}

async fn connect_any(address: &Address) -> io::Result<Connected> {
    let addresses = match address.connect_to() {
        ConnectTo::Tcp(addresses) => addresses,
        ConnectTo::Unix(path) => {
            let stream = UnixStream::connect(path.as_path()).await?;
            return Ok(Connected::plain(UpstreamStream::Unix(stream), None));
        }
    };
    let (stream, address) = race::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(Connected::plain(UpstreamStream::Tcp(stream), Some(address)))
}

impl AsyncRead for UpstreamStream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // Sockets have no user-space buffer.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
