//! One HTTP/2 connection to an endpoint: its task, and what its streams share.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
};

use http::Method;
use outrigger_transport::connect::{Connected, UpstreamStream};
use tokio::time::Instant;

use super::exchange::Exchange;
use crate::{
    codec::http2::{
        Block, Error,
        connection::{Settings, Shared, Side},
        driver,
    },
    upstream::{breaker::ConnectionPermit, endpoint::Open},
};

/// Longer response heads are rejected (`docs/security.md`, "Limits").
const RESPONSE_HEAD_BYTES: u32 = 64 * 1024;

/// Our flow-control windows: enough for a fast local peer, small enough for a 64 MiB container.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes after which a connection yields to other tasks.
const TURN: usize = 128 * 1024;

/// Streams on one connection before another is opened, also when the endpoint allows more.
const STREAMS: usize = 100;

/// A connection on which streams can be opened. Dropping the last handle closes it in order.
pub(crate) struct Connection {
    shared: Rc<Shared>,
    streams: Cell<usize>,
    used: Cell<bool>,
    last_used: Cell<Instant>,
    pub(crate) opened: Instant,
    /// The address of the endpoint; `None` for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    _permit: Option<ConnectionPermit>,
    _open: Open,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Connection {
    /// Whether no new stream may be opened on it any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    /// Streams that may be open at once.
    fn limit(&self) -> usize {
        self.peer_limit().min(STREAMS)
    }

    /// The endpoint's own limit on concurrent streams.
    pub(crate) fn peer_limit(&self) -> usize {
        self.shared.peer_streams()
    }

    /// Whether the endpoint currently allows no stream at all.
    pub(crate) fn allows_no_stream(&self) -> bool {
        self.peer_limit() == 0
    }

    /// Whether another stream may be opened now.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.get() < self.limit()
    }

    /// The same without our own limit, for when no further connection may be opened.
    pub(crate) fn has_room_at_endpoint(&self) -> bool {
        self.streams.get() < self.peer_limit()
    }

    /// Open streams.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// When the last stream ended, or the connection was opened.
    pub(crate) fn last_used(&self) -> Instant {
        self.last_used.get()
    }

    /// Counts a stream; returns whether there was an earlier one.
    pub(crate) fn enter(&self) -> bool {
        self.streams.set(self.streams.get() + 1);
        self.used.replace(true)
    }

    /// A stream has ended.
    pub(crate) fn leave(&self) {
        self.streams.set(self.streams.get() - 1);
        self.last_used.set(Instant::now());
    }

    /// Opens a stream with the head that `write` encodes, with END_STREAM when there is no body.
    ///
    /// # Errors
    /// Nothing was sent.
    pub(crate) fn send(
        &self,
        method: &Method,
        ends: bool,
        write: impl FnOnce(&mut Block<'_>),
    ) -> Result<Exchange, Error> {
        Ok(Exchange::new(self.shared.open(method, ends, write)?, ends))
    }
}

/// The task of a connection.
pub(crate) struct Driver {
    driver: driver::Driver<UpstreamStream>,
    shared: Rc<Shared>,
}

/// Starts HTTP/2 on a new socket and waits for the endpoint's SETTINGS. Before them its limit on
/// streams is unknown, and an endpoint that sends none does not speak HTTP/2.
///
/// # Errors
/// The connection ended, or the endpoint does not speak HTTP/2.
pub(crate) async fn handshake(
    connected: Connected,
    permit: Option<ConnectionPermit>,
    open: Open,
) -> io::Result<(Connection, Driver)> {
    let shared = Shared::new(Settings {
        side: Side::Client,
        streams: 0,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        header_list: RESPONSE_HEAD_BYTES,
    });
    let driver = driver::Driver::new(connected.stream, Rc::clone(&shared), TURN);
    let mut driver = Driver {
        driver,
        shared: Rc::clone(&shared),
    };
    poll_fn(|cx| driver.poll_settings(cx)).await?;
    let now = Instant::now();
    let connection = Connection {
        shared,
        streams: Cell::new(0),
        used: Cell::new(false),
        last_used: Cell::new(now),
        opened: now,
        address: connected.address,
        _permit: permit,
        _open: open,
    };
    Ok((connection, driver))
}

impl Driver {
    fn poll_settings(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.driver.poll(cx, drop) {
            Poll::Ready(result) => Poll::Ready(Err(self.why(result.err()))),
            Poll::Pending if self.shared.has_settings() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Why the handshake failed.
    fn why(&mut self, error: Option<Error>) -> io::Error {
        match (self.driver.take_failure(), error) {
            (Some(failure), _) => failure,
            (None, Some(error)) if error.is_protocol() => {
                io::Error::new(io::ErrorKind::InvalidData, error)
            }
            (None, _) => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed before the SETTINGS of HTTP/2",
            ),
        }
    }

    /// Drives the connection to its end; calls `changed` when the endpoint changes its limit on
    /// streams.
    pub(crate) async fn run(mut self, mut changed: impl FnMut()) -> Result<(), Error> {
        poll_fn(|cx| {
            let before = self.shared.peer_streams();
            let polled = self.driver.poll(cx, drop);
            if self.shared.peer_streams() != before || self.shared.has_ended() {
                changed();
            }
            polled
        })
        .await
    }
}
