//! Opens connections.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, FailureKind};
use super::lane::{Broken, Lane, Run};
use super::plan::Endpoint;
use super::tls::{Tls, TlsPlace};
use super::traffic::{Counted, Traffic, add};
use crate::stream::Stream;

/// A place from which connections are opened, one after the other. Each place has its own TLS
/// sessions.
pub(super) struct Dialer {
    source: Option<Ipv4Addr>,
    tls: Option<TlsPlace>,
    /// Whether this place has a session to resume.
    known: Cell<bool>,
}

/// A connection, with or without TLS.
pub(super) enum Wire {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

impl Dialer {
    /// The number of places of a run.
    pub(super) fn new(run: &Run, place: usize) -> Self {
        let source = run.plan.source(place);
        Self {
            source,
            tls: run.tls.as_ref().map(Tls::place),
            known: Cell::new(false),
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, lane: &Lane) -> Result<Wire, Broken> {
        let (traffic, run) = (&lane.traffic, &lane.run);
        let opened = match &run.endpoint {
            Endpoint::Tcp(address) => self.reach(*address).await.and_then(Stream::tcp),
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        };
        let stream = opened.map_err(|error| {
            Broken::Failed(Failure::new(FailureKind::Connect, error.to_string()))
        })?;
        let stream = Counted::new(stream, traffic);
        match &self.tls {
            None => Ok(Wire::Plain(stream)),
            Some(tls) => self
                .secure(tls, stream, traffic)
                .await
                .map_err(Broken::Failed),
        }
    }

    async fn reach(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let Some(source) = self.source else {
            return TcpStream::connect(address).await;
        };
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.connect(address).await
    }

    async fn secure(
        &self,
        tls: &TlsPlace,
        stream: Counted,
        traffic: &Traffic,
    ) -> Result<Wire, Failure> {
        let (stream, resumed) = tls.handshake(stream).await?;
        add(&traffic.handshakes, 1);
        add(&traffic.resumed, usize::from(resumed));
        if tls.resume && self.known.replace(true) && !resumed {
            return Err(Failure::new(
                FailureKind::NotResumed,
                "a full handshake after an earlier one",
            ));
        }
        Ok(Wire::Tls(Box::new(stream)))
    }
}

impl Wire {
    /// The bytes that this connection has received, while the counter is in use.
    pub(super) fn received(&self) -> Rc<Cell<u64>> {
        match self {
            Self::Plain(stream) => stream.received(),
            Self::Tls(stream) => stream.get_ref().0.received(),
        }
    }
}

/// Calls the same method on either kind of connection.
macro_rules! either {
    ($wire:expr, $method:ident($($argument:expr),*)) => {
        match $wire {
            Wire::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Wire::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), poll_shutdown(cx))
    }
}
