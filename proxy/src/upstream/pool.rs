//! Keep-alive connections of one worker to one endpoint.
//!
//! HTTP/1.1 connections are polled inside the request's own future (no task, no channel to cross): a [`Lease`]
//! owns the connection while a request uses it and gives it back when the response body ended and the request
//! was sent to its last byte. Idle ones are kept newest first; the oldest leave after the idle timeout, which is
//! lowered when the endpoint closes earlier than we do. HTTP/2 connections are shared and driven by a task.
//!
//! A connection is polled once before it is used again, so that one which the peer closed, or on which it
//! answered without being asked, never carries a request.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::TokioIo;
use outrigger_config::model::ConnectionSettings;
use outrigger_filters::service::Body;
use tokio::time::{Instant, sleep_until};

use super::{
    connect::{UpstreamStream, connect},
    endpoint::Endpoint,
};
use crate::{rt::LocalExecutor, telemetry::metrics::UpstreamCounters};

/// Upstream response heads over this are refused (security.md, limits).
const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// The idle timeout is never lowered below this.
const SHORTEST_IDLE: Duration = Duration::from_millis(100);

/// Streams on one HTTP/2 connection before another is opened.
const STREAMS_PER_CONNECTION: usize = 100;

/// Our HTTP/2 windows towards upstreams: enough for a fast local peer, small enough for a 64 MiB container.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The connections of one worker to one endpoint.
pub(crate) struct Pool {
    endpoint: Arc<Endpoint>,
    settings: ConnectionSettings,
    counters: Arc<UpstreamCounters>,
    /// Oldest in front.
    idle: RefCell<VecDeque<Idle>>,
    /// At most `settings.idle_timeout`; lower where the endpoint closes earlier.
    idle_timeout: Cell<Duration>,
    multiplexed: RefCell<Vec<Rc<Multiplexed>>>,
    connecting: tokio::sync::Mutex<()>,
    reaping: Cell<bool>,
    retired: Cell<bool>,
}

struct Idle {
    connection: Box<Http1>,
    since: Instant,
}

/// One HTTP/1.1 connection and the half that sends on it.
struct Http1 {
    sender: http1::SendRequest<Body>,
    connection: http1::Connection<TokioIo<UpstreamStream>, Body>,
    /// `connection` has ended and must not be polled again.
    ended: bool,
    opened: Instant,
    address: Option<SocketAddr>,
}

struct Multiplexed {
    sender: RefCell<http2::SendRequest<Body>>,
    streams: Cell<usize>,
    opened: Instant,
    address: Option<SocketAddr>,
    last_used: Cell<Instant>,
}

/// What remains of a connection after the peer agreed to an upgrade: its socket, and bytes already read.
pub(crate) struct Upgraded {
    /// The socket.
    pub stream: UpstreamStream,
    /// Bytes that the peer sent right after its 101.
    pub read: bytes::Bytes,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        settings: ConnectionSettings,
        counters: Arc<UpstreamCounters>,
    ) -> Self {
        Self {
            endpoint,
            idle_timeout: Cell::new(settings.idle_timeout),
            settings,
            counters,
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            connecting: tokio::sync::Mutex::default(),
            reaping: Cell::new(false),
            retired: Cell::new(false),
        }
    }

    /// The endpoint.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Closes idle connections now and busy ones after their request: the upstream is gone from the configuration.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
        self.multiplexed.borrow_mut().clear();
    }

    /// The newest idle connection that is still good.
    pub(crate) fn checkout(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let Idle { mut connection, since } = self.idle.borrow_mut().pop_back()?;
            if self.too_old(connection.opened) || !self.endpoint.still_has(connection.address) {
                continue;
            }
            if connection.is_reusable() {
                return Some(Lease { connection: Some(connection), pool: Rc::clone(self), reused: true });
            }
            self.closed_by_peer_after(since.elapsed());
        }
    }

    /// Opens a new HTTP/1.1 connection.
    ///
    /// # Errors
    /// What the connect failed with.
    pub(crate) async fn open(self: &Rc<Self>) -> io::Result<Lease> {
        let connected = self.connect().await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_BYTES)
            .handshake(TokioIo::new(connected.stream))
            .await
            .map_err(io::Error::other)?;
        let opened = Instant::now();
        let connection = Http1 { sender, connection, ended: false, opened, address: connected.address };
        Ok(Lease { connection: Some(Box::new(connection)), pool: Rc::clone(self), reused: false })
    }

    async fn connect(&self) -> io::Result<super::connect::Connected> {
        let result = connect(&self.endpoint, self.settings.connect_timeout).await;
        self.counters.connected(result.is_ok());
        result
    }

    fn give_back(self: &Rc<Self>, connection: Box<Http1>) {
        if self.retired.get() || connection.ended || connection.sender.is_closed() {
            return;
        }
        self.idle.borrow_mut().push_back(Idle { connection, since: Instant::now() });
        self.start_reaping();
    }

    fn start_reaping(self: &Rc<Self>) {
        if !self.reaping.replace(true) {
            tokio::task::spawn_local(reap(Rc::clone(self)));
        }
    }

    fn too_old(&self, opened: Instant) -> bool {
        self.settings.max_age.is_some_and(|age| opened.elapsed() >= age)
    }

    /// An endpoint that closes idle connections before we do makes every reuse a gamble: stay well below it.
    fn closed_by_peer_after(&self, idle: Duration) {
        let lowered = (idle / 2).max(SHORTEST_IDLE);
        if lowered < self.idle_timeout.get() {
            self.idle_timeout.set(lowered);
        }
    }

    /// Drops what expired; the time of the next expiry, if any.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        [self.expire_idle(now), self.expire_multiplexed(now)].into_iter().flatten().min()
    }

    fn expire_multiplexed(&self, now: Instant) -> Option<Instant> {
        let mut connections = self.multiplexed.borrow_mut();
        let expiry = |one: &Multiplexed| match one.streams.get() {
            0 => one.last_used.get() + self.settings.idle_timeout,
            _ => now + self.settings.idle_timeout,
        };
        connections.retain(|one| expiry(one) > now && !one.sender.borrow().is_closed());
        connections.iter().map(|one| expiry(one)).min()
    }

    fn expire_idle(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        while let Some(oldest) = idle.front_mut() {
            let expiry = oldest.since + self.idle_timeout.get();
            if expiry > now {
                return Some(expiry);
            }
            if oldest.connection.is_reusable() {
                // Still open after the whole timeout: a lowered timeout may recover.
                let raised = self.idle_timeout.get() + self.idle_timeout.get() / 4;
                self.idle_timeout.set(raised.min(self.settings.idle_timeout));
            }
            idle.pop_front();
        }
        None
    }
}

/// Ends idle connections on time. Runs only while there are any, so that an idle proxy has nothing to do.
async fn reap(pool: Rc<Pool>) {
    while let Some(expiry) = pool.expire() {
        sleep_until(expiry).await;
    }
    pool.reaping.set(false);
}

impl Http1 {
    /// Reads what the kernel already announced: an end, or an answer nobody asked for; both end the connection.
    fn is_reusable(&mut self) -> bool {
        let _ = self.poll(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        if self.ended {
            return Poll::Pending;
        }
        let polled = self.connection.poll_without_shutdown(cx);
        self.ended = polled.is_ready();
        polled
    }
}

/// An HTTP/1.1 connection while one request uses it. Dropped midway, it closes the connection.
pub(crate) struct Lease {
    connection: Option<Box<Http1>>,
    pool: Rc<Pool>,
    reused: bool,
}

/// Why no response head came.
pub(crate) enum SendError {
    /// Nothing of the request was written; here it is again.
    Unsent(Box<Request<Body>>),
    /// Something may have been written.
    Failed(hyper::Error),
}

impl From<TrySendError<Request<Body>>> for SendError {
    fn from(mut error: TrySendError<Request<Body>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => Self::Failed(error.into_error()),
        }
    }
}

impl Lease {
    /// Whether an earlier request used this connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends the request and waits for the response head, driving the connection meanwhile.
    ///
    /// # Errors
    /// The connection failed; [`SendError`] says whether the request may have been sent.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        let connection = self.connection.as_mut().expect("a lease has its connection until its body ended");
        let mut response = std::pin::pin!(connection.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            // The connection first: it is what makes the response ready. Its own error reaches `response`.
            if let Poll::Ready(Err(error)) = connection.poll(cx) {
                return match response.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result.map_err(SendError::from)),
                    Poll::Pending => Poll::Ready(Err(SendError::Failed(error))),
                };
            }
            response.as_mut().poll(cx).map_err(SendError::from)
        })
        .await
    }

    /// Drives the connection while its response body is read.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            let _ = connection.poll(cx); // an error shows in the body as well
        }
    }

    /// Gives the connection back when it is ready for another request, and closes it otherwise.
    pub(crate) fn release(mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if connection.sender.is_ready() || connection.is_reusable() {
            self.pool.give_back(connection);
        }
    }

    /// Takes the socket after a 101. `None` when the connection did not end its HTTP part.
    pub(crate) fn into_upgraded(mut self) -> Option<Upgraded> {
        let mut connection = self.connection.take()?;
        let _ = connection.poll(&mut Context::from_waker(Waker::noop()));
        let parts = connection.ended.then(|| connection.connection.into_parts())?;
        let mut stream = parts.io.into_inner();
        stream.tell_failed_writes();
        Some(Upgraded { stream, read: parts.read_buf })
    }
}

/// A place for one stream on a shared HTTP/2 connection.
pub(crate) struct Stream {
    connection: Rc<Multiplexed>,
    reused: bool,
}

impl Pool {
    /// A stream on an HTTP/2 connection with room, or on a new one; requests that wait share one connect.
    ///
    /// # Errors
    /// What the connect failed with.
    pub(crate) async fn stream(self: &Rc<Self>) -> io::Result<Stream> {
        if let Some(stream) = self.open_stream() {
            return Ok(stream);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(stream) = self.open_stream() {
            return Ok(stream);
        }
        let connected = self.connect().await?;
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(RESPONSE_HEAD_BYTES as u32)
            .handshake(TokioIo::new(connected.stream))
            .await
            .map_err(io::Error::other)?;
        let multiplexed = Rc::new(Multiplexed {
            sender: RefCell::new(sender),
            streams: Cell::new(0),
            opened: Instant::now(),
            address: connected.address,
            last_used: Cell::new(Instant::now()),
        });
        let endpoint = self.endpoint.label.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%endpoint, %error, "HTTP/2 connection to upstream ended");
            }
        });
        self.multiplexed.borrow_mut().push(Rc::clone(&multiplexed));
        self.start_reaping();
        Ok(Stream::on(multiplexed, false))
    }

    fn open_stream(&self) -> Option<Stream> {
        let mut connections = self.multiplexed.borrow_mut();
        connections.retain(|one| {
            !one.sender.borrow().is_closed()
                && !self.too_old(one.opened)
                && self.endpoint.still_has(one.address)
        });
        let open = connections.iter().find(|one| one.streams.get() < STREAMS_PER_CONNECTION).cloned();
        open.map(|one| Stream::on(one, true))
    }
}

impl Stream {
    fn on(connection: Rc<Multiplexed>, reused: bool) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection, reused }
    }

    /// Whether the connection was opened for an earlier request.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends the request and waits for the response head.
    ///
    /// # Errors
    /// The stream failed; [`SendError`] says whether the request may have been sent.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        let response = self.connection.sender.borrow_mut().try_send_request(request);
        response.await.map_err(SendError::from)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
        self.connection.last_used.set(Instant::now());
    }
}
