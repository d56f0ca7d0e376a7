//! Keep-alive connections of one worker to one endpoint.
//!
//! HTTP/1.1 connections run inside the request's own future (no task, no channel to cross): a [`Lease`] owns the
//! connection while a request uses it and gives it back when the response body ended and the request was sent to
//! its last byte. Idle ones are kept newest first; the oldest leave after the idle timeout, which is
//! lowered when the endpoint closes earlier than we do. HTTP/2 connections are shared ([`multiplexed`]).
//!
//! A connection is looked at before it is used again, so that one which the peer closed, or on which it answered
//! without being asked, never carries a request.

mod multiplexed;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use outrigger_config::model::ConnectionSettings;
use outrigger_transport::{
    connect::{Connected, Secure, UpstreamStream, connect},
    tls::client::{Connector, Spoken, TlsFailed},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use self::multiplexed::Connections;
pub(crate) use self::multiplexed::Stream;
use super::{
    breaker::{Breaker, Claim, Pending},
    endpoint::{Endpoint, Open},
    http1::Connection,
};
use crate::telemetry::{handshakes::Handshake, metrics::UpstreamCounters};

/// The idle timeout is never lowered below this.
const SHORTEST_IDLE: Duration = Duration::from_millis(100);

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
    http2: Connections,
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
            http2: Connections::default(),
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
        self.retire_http2();
    }

    /// The newest idle connection that is still good.
    pub(crate) fn checkout(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let idle = self.idle.borrow_mut().pop_back()?;
            if self.too_old(idle.connection.opened)
                || !self.endpoint.address.still_has(idle.connection.address)
            {
                idle.end();
                continue;
            }
            let Idle {
                mut connection,
                since,
            } = idle;
            if connection.is_quiet() {
                return Some(Lease {
                    connection: Some(connection),
                    pool: Rc::clone(self),
                    reused: true,
                });
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
                return Ok(Lease {
                    connection: Some(connection),
                    pool: Rc::clone(self),
                    reused: true,
                });
            }
            Granted::Open(claim) => claim,
        };
        let connected = self.connect(Spoken::Http1).await?;
        let mut connection = Connection::new(connected.stream, connected.address);
        connection.claim = claim;
        connection.open = Some(Open::begin(&self.endpoint));
        Ok(Lease {
            connection: Some(Box::new(connection)),
            pool: Rc::clone(self),
            reused: false,
        })
    }

    /// The right to open a connection, or one that somebody on this worker gives back first.
    async fn claim(&self) -> io::Result<Granted> {
        let Some(breaker) = &self.breaker else {
            return Ok(Granted::Open(None));
        };
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

    async fn connect(&self, spoken: Spoken) -> io::Result<Connected> {
        let result = self.connect_uncounted(spoken).await;
        self.counters.connected(result.is_ok());
        result
    }

    /// A socket, whose success is not counted yet; the TLS handshake is.
    async fn connect_uncounted(&self, spoken: Spoken) -> io::Result<Connected> {
        let secure = self
            .tls
            .as_ref()
            .map(|connector| Secure { connector, spoken });
        let result = connect(
            &self.endpoint.address,
            secure,
            self.settings.connect_timeout,
        )
        .await;
        let shaken = match &result {
            Ok(connected) => connected.resumed.map(|resumed| {
                if resumed {
                    Handshake::Resumed
                } else {
                    Handshake::Full
                }
            }),
            Err(error) => TlsFailed::within(error).map(|failed| Handshake::Failed(failed.failure)),
        };
        if let Some(shaken) = shaken {
            self.counters.handshakes.count(shaken);
        }
        result
    }

    fn give_back(self: &Rc<Self>, connection: Box<Connection>) {
        if self.retired.get() {
            Idle {
                connection,
                since: Instant::now(),
            }
            .end();
            return;
        }
        let Some(connection) = self.hand_over(connection) else {
            return;
        };
        let idle = Idle {
            connection,
            since: Instant::now(),
        };
        if self
            .breaker
            .as_ref()
            .is_some_and(|breaker| breaker.is_wanted())
        {
            return idle.end(); // somebody waits for another endpoint, or on another worker
        }
        self.idle.borrow_mut().push_back(idle);
        self.start_reaping();
    }

    /// To whoever waits longest; back when nobody does.
    fn hand_over(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some(next) = next else {
                return Some(connection);
            };
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
        self.close_unused();
    }

    fn start_reaping(self: &Rc<Self>) {
        if !self.reaping.replace(true) {
            tokio::task::spawn_local(reap(Rc::clone(self)));
        }
    }

    fn too_old(&self, opened: Instant) -> bool {
        self.settings
            .max_age
            .is_some_and(|age| opened.elapsed() >= age)
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
        [self.expire_idle(now), self.expire_http2(now)]
            .into_iter()
            .flatten()
            .min()
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
                self.idle_timeout
                    .set(raised.min(self.settings.idle_timeout));
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
        self.connection
            .as_mut()
            .expect("a lease has its connection until it is released")
    }

    /// Gives the connection back for another request: everything was sent and read.
    pub(crate) fn release(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
    }

    /// Takes the socket after a 101.
    pub(crate) fn into_upgraded(mut self) -> Upgraded {
        let mut connection = self
            .connection
            .take()
            .expect("a lease has its connection until it is released");
        let (claim, open) = (connection.claim.take(), connection.open.take());
        let (stream, read) = connection.into_parts();
        Upgraded {
            stream,
            read,
            _claim: claim,
            _open: open,
        }
    }
}
