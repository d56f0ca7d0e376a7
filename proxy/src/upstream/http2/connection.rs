//! One HTTP/2 connection to an endpoint: its task, and what the streams on it share.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use tokio::time::Instant;

use super::{exchange::Exchange, wire::Wire};
use crate::{
    codec::http2::incoming::Streams,
    upstream::{breaker::Claim, connect::Connected, endpoint::Open},
};

/// Upstream response heads over this are refused (`docs/security.md`, "Limits").
const RESPONSE_HEAD_BYTES: u32 = 64 * 1024;

/// Our windows: enough for a fast local peer, small enough for a 64 MiB container.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one request body that are buffered while the endpoint takes none.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams on one connection before another is opened, whatever more the endpoint allows.
const STREAMS: usize = 100;

/// What the connection's task and its streams tell each other.
#[derive(Default)]
pub(crate) struct Link {
    /// The bodies that arrive.
    pub(crate) bodies: Rc<Streams>,
    /// Streams that the endpoint allows at once; 0 until its SETTINGS came.
    limit: Cell<usize>,
    has_settings: Cell<bool>,
    /// No new stream is opened on it.
    ended: Cell<bool>,
    /// What the socket failed with. `h2` keeps no more than its text.
    error: Cell<Option<io::Error>>,
}

impl Link {
    /// The endpoint takes no new streams on this connection.
    pub(super) fn end(&self) {
        self.ended.set(true);
    }

    pub(super) fn settings_came(&self) {
        self.has_settings.set(true);
    }

    /// Keeps what the socket failed with; the same kind of error for `h2`.
    pub(super) fn failed(&self, error: io::Error) -> io::Error {
        let told = io::Error::new(error.kind(), error.to_string());
        self.error.set(Some(error));
        told
    }

    /// Why the connection ended, where that is known.
    fn why(&self, error: Option<h2::Error>) -> io::Error {
        match (self.error.take(), error) {
            (Some(error), _) => error,
            (None, Some(error)) if error.is_io() => error.into_io().unwrap_or_else(closed),
            (None, Some(error)) => io::Error::new(io::ErrorKind::InvalidData, error),
            (None, None) => closed(),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the SETTINGS of HTTP/2")
}

/// A connection on which streams can be opened. When the last share is dropped, it ends in good order.
pub(crate) struct Connection {
    sender: RefCell<SendRequest<Bytes>>,
    link: Rc<Link>,
    streams: Cell<usize>,
    used: Cell<bool>,
    last_used: Cell<Instant>,
    /// When the connection was opened.
    pub(crate) opened: Instant,
    /// Where it goes; none for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    _claim: Option<Claim>,
    _open: Open,
}

impl Connection {
    /// Whether no new stream may be opened on it any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.link.ended.get()
    }

    /// Streams that may be open at once.
    fn limit(&self) -> usize {
        self.link.limit.get().min(STREAMS)
    }

    /// Streams that the endpoint allows at once.
    pub(crate) fn told(&self) -> usize {
        self.link.limit.get()
    }

    /// Whether the endpoint allows no stream for now.
    pub(crate) fn is_barred(&self) -> bool {
        self.link.limit.get() == 0
    }

    /// Whether another stream may be opened now.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.get() < self.limit()
    }

    /// The same where our own limit does not count: no further connection may be opened.
    pub(crate) fn has_room_at_endpoint(&self) -> bool {
        self.streams.get() < self.link.limit.get()
    }

    /// Streams that are open.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// When the last stream ended, or the connection was opened.
    pub(crate) fn last_used(&self) -> Instant {
        self.last_used.get()
    }

    /// Counts a stream; whether there was one before it.
    pub(crate) fn enter(&self) -> bool {
        self.streams.set(self.streams.get() + 1);
        self.used.replace(true)
    }

    /// A stream has ended.
    pub(crate) fn leave(&self) {
        self.streams.set(self.streams.get() - 1);
        self.last_used.set(Instant::now());
    }

    /// Opens a stream; the end of the head ends it when there is no body.
    ///
    /// # Errors
    /// Nothing was sent.
    pub(crate) fn send(&self, request: Request<()>, ends: bool) -> Result<Exchange, h2::Error> {
        let mut sender = self.sender.borrow_mut();
        let (response, stream) = sender.send_request(request, ends)?;
        // It would take no other request until this stream is really open. Streams are counted here, and one that waits for
        // the end of another to be written waits for no more than that.
        let waits = sender.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending();
        if waits {
            let fresh = sender.clone();
            *sender = fresh;
        }
        Ok(Exchange::new(response, (!ends).then_some(stream), &self.link.bodies))
    }
}

/// The task of a connection.
pub(crate) struct Driver {
    connection: client::Connection<Wire, Bytes>,
    link: Rc<Link>,
}

/// Begins HTTP/2 on a new socket, and waits for the endpoint's SETTINGS: before them it is unknown how many streams it
/// allows, and an endpoint that sends none does not speak HTTP/2.
///
/// # Errors
/// The connection ended, or the endpoint speaks something else.
pub(crate) async fn handshake(
    connected: Connected,
    claim: Option<Claim>,
    open: Open,
) -> io::Result<(Connection, Driver)> {
    let link = Rc::<Link>::default();
    let wire = Wire::new(connected.stream, Rc::clone(&link));
    let (sender, connection) = client::Builder::new()
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(RESPONSE_HEAD_BYTES)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(usize::MAX) // small frames are brought together instead
        .handshake(wire)
        .await
        .map_err(|error| link.why(Some(error)))?;
    let mut driver = Driver { connection, link: Rc::clone(&link) };
    poll_fn(|cx| driver.poll_settings(cx)).await?;
    let now = Instant::now();
    let connection = Connection {
        sender: RefCell::new(sender),
        link,
        streams: Cell::new(0),
        used: Cell::new(false),
        last_used: Cell::new(now),
        opened: now,
        address: connected.address,
        _claim: claim,
        _open: open,
    };
    Ok((connection, driver))
}

impl Driver {
    fn poll_settings(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_once(cx) {
            Poll::Ready(result) => Poll::Ready(Err(self.link.why(result.err()))),
            Poll::Pending if self.link.has_settings.get() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Drives the connection to its end; `changed` is called when the endpoint changes its limit on streams.
    pub(crate) async fn run(mut self, mut changed: impl FnMut()) -> Result<(), h2::Error> {
        let result = poll_fn(|cx| {
            let before = self.link.limit.get();
            let polled = self.poll_once(cx);
            if self.link.limit.get() != before || self.link.ended.get() {
                changed();
            }
            polled
        })
        .await;
        self.link.end();
        result
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let polled = Pin::new(&mut self.connection).poll(cx);
        self.link.limit.set(self.connection.max_concurrent_send_streams());
        if self.link.bodies.is_due() {
            self.link.bodies.bring_together();
        }
        polled
    }
}
