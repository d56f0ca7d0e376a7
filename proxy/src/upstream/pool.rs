//! Keep-alive connections of one worker to one endpoint.
//!
//! HTTP/1.1 connections run inside the request's own future (no task, no channel to cross): a [`Lease`] owns the
//! connection while a request uses it and gives it back when the response body ended and the request was sent to
//! its last byte. Idle ones are kept newest first; the oldest leave after the idle timeout, which is
//! lowered when the endpoint closes earlier than we do. HTTP/2 connections are shared and driven by a task.
//!
//! A connection is looked at before it is used again, so that one which the peer closed, or on which it answered
//! without being asked, never carries a request.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::TokioIo;
use outrigger_config::model::ConnectionSettings;
use outrigger_filters::service::Body;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{
    breaker::{Breaker, Claim, Pending},
    connect::{Secure, UpstreamStream, connect},
    endpoint::{Endpoint, Open},
    http1::Connection,
};
use crate::{
    rt::LocalExecutor,
    telemetry::{handshakes::Handshake, metrics::UpstreamCounters},
    tls::client::{Connector, Spoken, TlsFailed},
};

/// Upstream response heads over this are refused (`docs/security.md`, "Limits").
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
    /// TLS, where it is spoken: the whole of its identity, which never changes for a pool.
    tls: Option<Arc<Connector>>,
    counters: Arc<UpstreamCounters>,
    /// Limits connections, where that is asked for.
    breaker: Option<Arc<Breaker>>,
    /// Who waits for a connection of this pool while no more may be opened.
    waiting: RefCell<VecDeque<oneshot::Sender<Box<Connection>>>>,
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
    connection: Box<Connection>,
    since: Instant,
}

impl Idle {
    /// Closes it in good order.
    fn end(mut self) {
        self.connection.say_goodbye();
    }
}

struct Multiplexed {
    sender: RefCell<http2::SendRequest<Body>>,
    streams: Cell<usize>,
    opened: Instant,
    address: Option<SocketAddr>,
    last_used: Cell<Instant>,
    _claim: Option<Claim>,
    _open: Open,
}

/// What remains of a connection after the peer agreed to an upgrade: its socket, and bytes already read.
pub(crate) struct Upgraded {
    /// The socket.
    pub stream: UpstreamStream,
    /// Bytes that the peer sent right after its 101.
    pub read: bytes::Bytes,
    /// The right to have it open, kept to its end.
    _claim: Option<Claim>,
    _open: Option<Open>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        settings: ConnectionSettings,
        tls: Option<Arc<Connector>>,
        counters: Arc<UpstreamCounters>,
        breaker: Option<Arc<Breaker>>,
    ) -> Self {
        Self {
            endpoint,
            idle_timeout: Cell::new(settings.idle_timeout),
            settings,
            tls,
            counters,
            breaker,
            waiting: RefCell::default(),
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
        self.idle.borrow_mut().drain(..).for_each(Idle::end);
        self.multiplexed.borrow_mut().clear();
    }

    /// The newest idle connection that is still good.
    pub(crate) fn checkout(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let idle = self.idle.borrow_mut().pop_back()?;
            if self.too_old(idle.connection.opened) || !self.endpoint.still_has(idle.connection.address) {
                idle.end();
                continue;
            }
            let Idle { mut connection, since } = idle;
            if connection.is_quiet() {
                return Some(Lease { connection: Some(connection), pool: Rc::clone(self), reused: true });
            }
            self.closed_by_peer_after(since.elapsed());
        }
    }

    /// Opens a new HTTP/1.1 connection, or waits for one while as many as may be are open.
    ///
    /// # Errors
    /// What the connect failed with, or that too many wait.
    pub(crate) async fn open(self: &Rc<Self>) -> io::Result<Lease> {
        let claim = match self.claim().await? {
            Granted::Connection(connection) => {
                return Ok(Lease { connection: Some(connection), pool: Rc::clone(self), reused: true });
            }
            Granted::Open(claim) => claim,
        };
        let connected = self.connect(Spoken::Http1).await?;
        let mut connection = Connection::new(connected.stream, connected.address);
        connection.claim = claim;
        connection.open = Some(Open::begin(&self.endpoint));
        Ok(Lease { connection: Some(Box::new(connection)), pool: Rc::clone(self), reused: false })
    }

    /// The right to open a connection, or one that somebody on this worker gives back first.
    async fn claim(&self) -> io::Result<Granted> {
        let Some(breaker) = &self.breaker else { return Ok(Granted::Open(None)) };
        if let Some(claim) = breaker.try_claim() {
            return Ok(Granted::Open(Some(claim)));
        }
        let _pending = self.wait(breaker)?;
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let mut waiting = self.waiting.borrow_mut();
                waiting.retain(|one| !one.is_closed());
                waiting.push_back(sender);
            }
            tokio::select! {
                claim = breaker.claim() => return Ok(Granted::Open(Some(claim))),
                Ok(mut connection) = receiver => {
                    if connection.is_quiet() {
                        return Ok(Granted::Connection(connection));
                    }
                }
            }
        }
    }

    fn wait<'a>(&self, breaker: &'a Breaker) -> io::Result<Pending<'a>> {
        breaker.wait().map_err(|full| {
            self.counters.overflowed(true);
            io::Error::other(full)
        })
    }

    async fn connect(&self, spoken: Spoken) -> io::Result<super::connect::Connected> {
        let secure = self.tls.as_ref().map(|connector| Secure { connector, spoken });
        let result = connect(&self.endpoint, secure, self.settings.connect_timeout).await;
        self.counters.connected(result.is_ok());
        let shaken = match &result {
            Ok(connected) => {
                connected.resumed.map(|resumed| if resumed { Handshake::Resumed } else { Handshake::Full })
            }
            Err(error) => TlsFailed::within(error).map(|failed| Handshake::Failed(failed.failure)),
        };
        if let Some(shaken) = shaken {
            self.counters.handshakes.count(shaken);
        }
        result
    }

    fn give_back(self: &Rc<Self>, connection: Box<Connection>) {
        if self.retired.get() {
            Idle { connection, since: Instant::now() }.end();
            return;
        }
        let Some(connection) = self.hand_over(connection) else { return };
        let idle = Idle { connection, since: Instant::now() };
        if self.breaker.as_ref().is_some_and(|breaker| breaker.is_wanted()) {
            return idle.end(); // somebody waits for another endpoint, or on another worker
        }
        self.idle.borrow_mut().push_back(idle);
        self.start_reaping();
    }

    /// To whoever waits longest; back when nobody does.
    fn hand_over(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some(next) = next else { return Some(connection) };
            match next.send(connection) {
                Ok(()) => return None,
                Err(back) => connection = back, // it has gone away
            }
        }
    }

    /// Closes the oldest idle connection, for somebody who waits.
    fn make_room(&self) {
        if let Some(oldest) = self.idle.borrow_mut().pop_front() {
            return oldest.end();
        }
        let mut multiplexed = self.multiplexed.borrow_mut();
        if let Some(unused) = multiplexed.iter().position(|one| one.streams.get() == 0) {
            multiplexed.swap_remove(unused);
        }
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
            if oldest.connection.is_quiet() {
                // Still open after the whole timeout: a lowered timeout may recover.
                let raised = self.idle_timeout.get() + self.idle_timeout.get() / 4;
                self.idle_timeout.set(raised.min(self.settings.idle_timeout));
            }
            idle.pop_front().into_iter().for_each(Idle::end);
        }
        None
    }
}

/// Ends idle connections on time. Runs only while there are any, so that an idle proxy has nothing to do.
/// Where connections are limited, one goes early when somebody waits.
async fn reap(pool: Rc<Pool>) {
    let breaker = pool.breaker.clone();
    loop {
        let wanted = breaker.as_ref().map(|breaker| breaker.wanted()); // before the look, so that nobody is missed
        if breaker.as_ref().is_some_and(|breaker| breaker.is_wanted()) {
            pool.make_room();
        }
        let Some(expiry) = pool.expire() else { break };
        match wanted {
            Some(wanted) => tokio::select! { () = sleep_until(expiry) => {}, () = wanted => {} },
            None => sleep_until(expiry).await,
        }
    }
    pool.reaping.set(false);
}

/// What a request gets that has no connection yet.
enum Granted {
    /// It may open one.
    Open(Option<Claim>),
    /// One that another request has done with.
    Connection(Box<Connection>),
}

/// An HTTP/1.1 connection while one request uses it. Dropped midway, it closes the connection.
pub(crate) struct Lease {
    connection: Option<Box<Connection>>,
    pool: Rc<Pool>,
    reused: bool,
}

impl Lease {
    /// Whether an earlier request used this connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is released")
    }

    /// Gives the connection back for another request: everything was sent and read.
    pub(crate) fn release(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }

    /// Takes the socket after a 101.
    pub(crate) fn into_upgraded(mut self) -> Upgraded {
        let mut connection = self.connection.take().expect("a lease has its connection until it is released");
        let (claim, open) = (connection.claim.take(), connection.open.take());
        let (stream, read) = connection.into_parts();
        Upgraded { stream, read, _claim: claim, _open: open }
    }
}

/// Why no response head came over HTTP/2.
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
        let claim = match &self.breaker {
            None => None,
            Some(breaker) => match (breaker.try_claim(), self.any_stream()) {
                (Some(claim), _) => Some(claim),
                (None, Some(stream)) => return Ok(stream), // rather crowded than waiting
                (None, None) => {
                    let _pending = self.wait(breaker)?;
                    Some(breaker.claim().await)
                }
            },
        };
        let connected = self.connect(Spoken::Http2).await?;
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
            _claim: claim,
            _open: Open::begin(&self.endpoint),
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

    fn any_stream(&self) -> Option<Stream> {
        let least = self.multiplexed.borrow().iter().min_by_key(|one| one.streams.get()).cloned();
        least.map(|one| Stream::on(one, true))
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
