//! HTTP/2 connections of one worker to one endpoint, and the choice of a connection for each
//! stream.
//!
//! A stream goes to a connection with room by the endpoint's own limit on streams. Without one the
//! request waits. Connections are opened for all waiting requests, each by its own task, so that a
//! client that disconnects cancels none. Waiting requests are served in order of arrival by
//! whatever brings room: an ended stream, a new connection, a higher limit. A failed connect fails
//! all of them at once, unless another connect is still in progress for them. They count as pending
//! requests of the circuit breaker.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
};

use http::Method;
use outrigger_transport::{
    connect::Connected,
    tls::client::{AppProtocol, TlsFailed},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::Pool;
use crate::{
    codec::http2::{Block, Error},
    upstream::{
        breaker::{Breaker, ConnectionPermit},
        endpoint::Open,
        http2::{self, Connection, Exchange},
    },
};

/// Most connects in progress at once.
const OPENED_AT_ONCE: usize = 32;

/// Until an endpoint has sent its limit, one connection is opened for this many waiting streams.
const STREAMS_UNTIL_SETTINGS: usize = 100;

/// The HTTP/2 side of a pool.
#[derive(Default)]
pub(super) struct Connections {
    open: RefCell<Vec<Rc<Connection>>>,
    waiting: RefCell<VecDeque<oneshot::Sender<io::Result<Stream>>>>,
    /// Connects in progress, or waiting for a permit.
    connecting: Cell<usize>,
    /// The endpoint's last known limit on streams; 0 before the first connection.
    peer_limit: Cell<usize>,
}

/// A place for one stream on a shared HTTP/2 connection.
pub(crate) struct Stream {
    connection: Rc<Connection>,
    pool: Rc<Pool>,
    reused: bool,
}

impl Connections {
    /// Streams that one more connection is expected to take.
    fn streams_expected(&self) -> usize {
        match self.peer_limit.get() {
            0 => STREAMS_UNTIL_SETTINGS,
            peer_limit => peer_limit.min(STREAMS_UNTIL_SETTINGS),
        }
    }
}

impl Pool {
    /// A stream on an HTTP/2 connection.
    ///
    /// # Errors
    /// The connect failed, or too many requests wait.
    pub(crate) async fn stream(self: &Rc<Self>) -> io::Result<Stream> {
        if self.http2.waiting.borrow().is_empty()
            && let Some(stream) = self.open_stream()
        {
            return Ok(stream);
        }
        let _pending = self
            .breaker
            .as_deref()
            .map(|breaker| self.wait(breaker))
            .transpose()?;
        let (sender, receiver) = oneshot::channel();
        self.http2.waiting.borrow_mut().push_back(sender);
        self.serve_waiting();
        receiver
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// A stream on a connection that has room.
    fn open_stream(self: &Rc<Self>) -> Option<Stream> {
        let mut open = self.http2.open.borrow_mut();
        open.retain(|one| {
            !one.has_ended()
                && !self.too_old(one.opened)
                && self.endpoint.address.still_has(one.address)
        });
        let connection = open.iter().find(|one| one.has_room()).or_else(|| {
            let may_open = self.breaker.as_deref().is_none_or(Breaker::has_permit);
            let crowded = open.iter().filter(|one| one.has_room_at_endpoint());
            crowded
                .min_by_key(|one| one.streams())
                .filter(|_| !may_open) // a crowded connection is better than waiting
        });
        let connection = Rc::clone(connection?);
        drop(open);
        Some(Stream {
            reused: connection.enter(),
            connection,
            pool: Rc::clone(self),
        })
    }

    /// Hands streams to waiting requests, and opens connections for the rest.
    fn serve_waiting(self: &Rc<Self>) {
        loop {
            {
                let mut waiting = self.http2.waiting.borrow_mut();
                // Their clients have disconnected.
                while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    waiting.pop_front();
                }
                if waiting.is_empty() {
                    return;
                }
            }
            let Some(stream) = self.open_stream() else {
                break;
            };
            let first = self.http2.waiting.borrow_mut().pop_front();
            if let Some(first) = first {
                // When the request has just gone, dropping its stream serves the next one.
                drop(first.send(Ok(stream)));
            }
        }
        self.open_for_waiting();
    }

    fn open_for_waiting(self: &Rc<Self>) {
        if self
            .http2
            .open
            .borrow()
            .iter()
            .any(|one| one.allows_no_stream())
        {
            // A further connection would allow no stream either; the endpoint's next SETTINGS end
            // this.
            return;
        }
        let waiting = self
            .http2
            .waiting
            .borrow()
            .iter()
            .filter(|one| !one.is_closed())
            .count();
        // One connection for as many waiting requests as it is expected to take, less those that
        // are being opened.
        let wanted = waiting
            .div_ceil(self.http2.streams_expected())
            .min(OPENED_AT_ONCE);
        while self.http2.connecting.get() < wanted {
            self.http2.connecting.set(self.http2.connecting.get() + 1);
            tokio::task::spawn_local(Rc::clone(self).run_connection());
        }
    }

    /// The task of one connection, from its connect to its end.
    async fn run_connection(self: Rc<Self>) {
        let opened = self.open_http2().await;
        self.http2.connecting.set(self.http2.connecting.get() - 1);
        match opened {
            Ok(Some((connection, driver))) => {
                self.http2.peer_limit.set(connection.peer_limit());
                self.http2.open.borrow_mut().push(Rc::new(connection));
                self.serve_waiting();
                self.start_reaping();
                let (pool, endpoint) = (Rc::downgrade(&self), self.endpoint.address.label.clone());
                // The task must not keep the pool alive: a removed upstream closes its connections.
                drop(self);
                let serve = || {
                    if let Some(pool) = pool.upgrade() {
                        pool.serve_waiting();
                    }
                };
                if let Err(error) = driver.run(serve).await {
                    tracing::debug!(%endpoint, %error, "HTTP/2 connection to upstream ended");
                }
                serve();
            }
            Ok(None) => {}
            Err(error) => self.connect_failed(&error),
        }
    }

    /// Opens a connection, while a request waits for one.
    async fn open_http2(self: &Rc<Self>) -> io::Result<Option<(Connection, http2::Driver)>> {
        let permit = match &self.breaker {
            None => None,
            Some(breaker) => match breaker.try_permit() {
                Some(permit) => Some(permit),
                None => Some(breaker.permit().await),
            },
        };
        if self
            .http2
            .waiting
            .borrow()
            .iter()
            .all(oneshot::Sender::is_closed)
        {
            return Ok(None);
        }
        let deadline = Instant::now() + self.settings.connect_timeout;
        let connected = self.connect_uncounted(AppProtocol::Http2).await;
        let result = match connected {
            Ok(connected) => match timeout_at(deadline, self.handshake(connected, permit)).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no HTTP/2 SETTINGS frame within connectTimeout; check that the endpoint speaks HTTP/2",
                )),
            },
            Err(error) => Err(error),
        };
        self.counters.connected(result.is_ok());
        result.map(Some)
    }

    async fn handshake(
        &self,
        connected: Connected,
        permit: Option<ConnectionPermit>,
    ) -> io::Result<(Connection, http2::Driver)> {
        http2::handshake(connected, permit, Open::begin(&self.endpoint)).await
    }

    /// Fails all waiting requests, except those that other connects in progress can serve.
    fn connect_failed(&self, error: &io::Error) {
        let failed = {
            let mut waiting = self.http2.waiting.borrow_mut();
            waiting.retain(|one| !one.is_closed());
            // The first ones in the queue keep waiting for the connects that are still in progress.
            let others = self.http2.connecting.get() * self.http2.streams_expected();
            let kept = others.min(waiting.len());
            waiting.split_off(kept)
        };
        for one in failed {
            drop(one.send(Err(copy_of(error))));
        }
    }

    /// Closes an unused HTTP/2 connection: a request waits for a permit to open another one.
    pub(super) fn close_unused(&self) {
        let mut open = self.http2.open.borrow_mut();
        if let Some(unused) = open.iter().position(|one| one.streams() == 0) {
            open.swap_remove(unused);
        }
    }

    /// Drops all connections; each ends with its last stream.
    pub(super) fn retire_http2(&self) {
        self.http2.open.borrow_mut().clear();
    }

    /// Closes expired connections; returns the time of the next expiry, if any.
    pub(super) fn expire_http2(&self, now: Instant) -> Option<Instant> {
        let mut open = self.http2.open.borrow_mut();
        let expiry = |one: &Connection| match one.streams() {
            0 => one.last_used() + self.settings.idle_timeout,
            _ => now + self.settings.idle_timeout,
        };
        open.retain(|one| expiry(one) > now && !one.has_ended());
        open.iter().map(|one| expiry(one)).min()
    }
}

/// The same error for another waiting request.
fn copy_of(error: &io::Error) -> io::Error {
    match TlsFailed::within(error) {
        Some(failed) => io::Error::new(error.kind(), failed.clone()),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Stream {
    /// Whether the connection was opened for an earlier request.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends the head of a request that `write` encodes, with END_STREAM when there is no body.
    ///
    /// # Errors
    /// Nothing was sent.
    pub(crate) fn send(
        &self,
        method: &Method,
        ends: bool,
        write: impl FnOnce(&mut Block<'_>),
    ) -> Result<Exchange, Error> {
        self.connection.send(method, ends, write)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.leave();
        // When a worker ends, its tasks are dropped where no other task can be spawned.
        let is_running = || tokio::runtime::Handle::try_current().is_ok();
        if !self.pool.http2.waiting.borrow().is_empty() && is_running() {
            self.pool.serve_waiting();
        }
    }
}
