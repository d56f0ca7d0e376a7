//! Connection pool of one worker to one endpoint.
//!
//! HTTP/1.1 connections run inside the request's own future, without a task or channel. A [`Lease`]
//! owns the connection while a request uses it, and returns it when the response body ended and the
//! request was sent completely. The most recently used idle connection is reused first. The others
//! expire after the idle timeout, which is lowered when the endpoint closes earlier ([`idle`]). At
//! the limit on connections, requests wait for one ([`waiting`]). HTTP/2 connections are shared
//! ([`multiplexed`]).
//!
//! A connection is checked before reuse: one that the peer closed, or that has unexpected bytes,
//! never carries a request.

mod idle;
mod lease;
mod multiplexed;
mod waiting;

use std::{cell::Cell, io, rc::Rc, sync::Arc};

use outrigger_config::model::ConnectionSettings;
use outrigger_transport::{
    connect::{Connected, Secure, connect},
    tls::client::{AppProtocol, Connector, TlsFailed},
};
use tokio::time::{Instant, sleep_until};

use self::{
    idle::{Idle, IdleConnections},
    multiplexed::Connections,
    waiting::{Grant, Waiting},
};
pub(crate) use self::{
    lease::{Lease, Upgraded},
    multiplexed::Stream,
};
use super::{
    breaker::{Breaker, PendingRequest},
    endpoint::{Endpoint, Open},
    http1::Connection,
};
use crate::telemetry::{handshakes::Handshake, metrics::UpstreamCounters};

/// The connections of one worker to one endpoint.
pub(crate) struct Pool {
    endpoint: Arc<Endpoint>,
    settings: ConnectionSettings,
    /// TLS settings, with TLS: the complete identity, which never changes for a pool.
    tls: Option<Arc<Connector>>,
    counters: Arc<UpstreamCounters>,
    /// Limits connections, where a limit is configured.
    breaker: Option<Arc<Breaker>>,
    waiting: Waiting,
    idle: IdleConnections,
    http2: Connections,
    reaping: Cell<bool>,
    retired: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        settings: ConnectionSettings,
        tls: Option<Arc<Connector>>,
        counters: Arc<UpstreamCounters>,
        breaker: Option<Arc<Breaker>>,
    ) -> Self {
        Self {
            endpoint,
            idle: IdleConnections::new(settings.idle_timeout),
            settings,
            tls,
            counters,
            breaker,
            waiting: Waiting::default(),
            http2: Connections::default(),
            reaping: Cell::new(false),
            retired: Cell::new(false),
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Closes idle connections now, and busy ones after their request: the upstream was removed
    /// from the configuration.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.idle.end_all();
        self.retire_http2();
    }

    /// The most recently used idle connection that is still open.
    pub(crate) fn checkout(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let idle = self.idle.take_newest()?;
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
                return Some(Lease::new(connection, self, true));
            }
            // The endpoint has closed it: from now on connections expire before that.
            self.idle.closed_by_peer_after(since.elapsed());
        }
    }

    /// Opens a new HTTP/1.1 connection, or waits for one at the limit on connections.
    ///
    /// # Errors
    /// The connect failed, or too many requests wait.
    pub(crate) async fn open(self: &Rc<Self>) -> io::Result<Lease> {
        let permit = match self.permit().await? {
            Grant::Connection(connection) => {
                return Ok(Lease::new(connection, self, true));
            }
            Grant::Open(permit) => permit,
        };
        let connected = self.connect(AppProtocol::Http1).await?;
        let mut connection = Connection::new(connected.stream, connected.address);
        connection.permit = permit;
        connection.open = Some(Open::begin(&self.endpoint));
        Ok(Lease::new(Box::new(connection), self, false))
    }

    /// A permit to open a connection, or a connection that another request on this worker returns
    /// first.
    async fn permit(&self) -> io::Result<Grant> {
        let Some(breaker) = &self.breaker else {
            return Ok(Grant::Open(None));
        };
        if let Some(permit) = breaker.try_permit() {
            return Ok(Grant::Open(Some(permit)));
        }
        // Counts as a pending request until the end of this function.
        let _pending = self.wait(breaker)?;
        Ok(self.waiting.next(breaker).await)
    }

    fn wait<'a>(&self, breaker: &'a Breaker) -> io::Result<PendingRequest<'a>> {
        breaker.wait().map_err(|full| {
            self.counters.overflowed(true);
            io::Error::other(full)
        })
    }

    async fn connect(&self, app_protocol: AppProtocol) -> io::Result<Connected> {
        let result = self.connect_uncounted(app_protocol).await;
        self.counters.connected(result.is_ok());
        result
    }

    /// Connects without counting a success, since the TLS handshake may still fail; a failure is
    /// counted.
    async fn connect_uncounted(&self, app_protocol: AppProtocol) -> io::Result<Connected> {
        let secure = self.tls.as_ref().map(|connector| Secure {
            connector,
            app_protocol,
        });
        let result = connect(
            &self.endpoint.address,
            secure,
            self.settings.connect_timeout,
        )
        .await;
        let handshake = match &result {
            Ok(connected) => connected.resumed.map(|resumed| {
                if resumed {
                    Handshake::Resumed
                } else {
                    Handshake::Full
                }
            }),
            Err(error) => TlsFailed::within(error).map(|failed| Handshake::Failed(failed.failure)),
        };
        if let Some(handshake) = handshake {
            self.counters.handshakes.count(handshake);
        }
        result
    }

    fn give_back(self: &Rc<Self>, connection: Box<Connection>) {
        if self.retired.get() {
            return Idle::new(connection).end();
        }
        // Requests on this worker first: they need no new connect.
        let Some(connection) = self.waiting.hand_over(connection) else {
            return;
        };
        let idle = Idle::new(connection);
        if self
            .breaker
            .as_ref()
            .is_some_and(|breaker| breaker.is_wanted())
        {
            return idle.end(); // a request waits for another endpoint, or on another worker
        }
        self.idle.put(idle);
        self.start_reaping();
    }

    /// Closes the connection that has been idle longest, for a request that waits.
    fn make_room(&self) {
        if let Some(oldest) = self.idle.take_oldest() {
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

    /// Closes expired connections; returns the time of the next expiry, if any.
    fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        [self.idle.expire(now), self.expire_http2(now)]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Closes idle connections on time. Runs only while there are any, so that an idle proxy has no
/// timers. Where connections are limited, it also closes one early when a request waits.
async fn reap(pool: Rc<Pool>) {
    let breaker = pool.breaker.clone();
    loop {
        // Before the check, so that no waiting request is missed.
        let wanted = breaker.as_ref().map(|breaker| breaker.wanted());
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
