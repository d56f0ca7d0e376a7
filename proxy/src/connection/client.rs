//! One client connection, as used by its requests.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use http::HeaderValue;
use outrigger_config::model::ListenerId;
use outrigger_decision::Subject;
use outrigger_filters::{client_address, identity::Identity, reason::Reason, recycle::Alarm};
use tokio::time::Instant;

use super::{
    listener::ListenerLocal, permit::Permit, secured::Secured, stall::Watch, tunnel::Tunnel,
};
use crate::{
    telemetry::handshakes::Failure,
    tls::{
        failure,
        report::{ClientFailure, TlsEvent},
    },
    view::View,
    worker::{ConnectionGuard, Worker},
};

/// One connection in all counts, from accept to its end.
pub(crate) struct Registration {
    listener: Rc<ListenerLocal>,
    /// Its permit under the limits on connections.
    pub(crate) permit: Permit,
    _counted: ConnectionGuard,
}

impl Registration {
    /// Counts a connection that was just accepted.
    pub(crate) fn new(worker: &Rc<Worker>, listener: &Rc<ListenerLocal>, permit: Permit) -> Self {
        listener.shared.counters.open.fetch_add(1, Relaxed);
        Self {
            listener: Rc::clone(listener),
            permit,
            _counted: worker.connection(),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.listener.shared.counters.open.fetch_sub(1, Relaxed);
    }
}

/// Grace period in which a closing idle connection still accepts one more request. Without it, a
/// request that the client sends at the moment of the close would be lost.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Grace period of an evicted HTTP/2 connection after GOAWAY: its client may have sent a request
/// before it received GOAWAY.
const EVICTION_GRACE: Duration = Duration::from_millis(250);

/// One client connection.
pub(crate) struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// The listener that accepted it.
    pub listener: Rc<ListenerLocal>,
    /// The peer; IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The peer as a header value, for requests that no trusted proxy forwards.
    pub peer_value: HeaderValue,
    /// TLS state; `None` without TLS.
    secured: Option<Secured>,
    /// The number of trust changes that were checked.
    trust_checked: Cell<u32>,
    /// Watches writes on the socket.
    pub watch: Rc<Watch>,
    opened: Instant,
    requests: Cell<usize>,
    /// When the last request ended, or the connection was opened.
    idle_since: Cell<Instant>,
    /// No request has ended yet.
    silent: Cell<bool>,
    /// It is HTTP/2, where the time between two requests is idle. HTTP/1.1 may still have to write
    /// the response.
    multiplexed: Cell<bool>,
    /// The connection must not be used for another request.
    must_close: Cell<bool>,
    /// The client read nothing for too long.
    slow_reader: Cell<bool>,
    /// The timer of the last request, for reuse by the next one.
    pub alarm: Cell<Alarm>,
    /// The upstream side of an upgraded connection, after a 101.
    tunnel: RefCell<Option<Tunnel>>,
    registration: Registration,
}

impl Client {
    /// A connection whose peer is known.
    pub(crate) fn new(
        worker: Rc<Worker>,
        registration: Registration,
        peer: IpAddr,
        secured: Option<Secured>,
        watch: Rc<Watch>,
    ) -> Self {
        let opened = Instant::now();
        let listener = Rc::clone(&registration.listener);
        Self {
            trust_checked: Cell::new(listener.changes.get()),
            worker,
            listener,
            peer,
            peer_value: client_address::peer_value(peer),
            secured,
            watch,
            opened,
            requests: Cell::new(0),
            idle_since: Cell::new(opened),
            silent: Cell::new(true),
            multiplexed: Cell::new(false),
            must_close: Cell::new(false),
            slow_reader: Cell::new(false),
            alarm: Cell::default(),
            tunnel: RefCell::default(),
            registration,
        }
    }

    /// Counts a request that begins.
    pub(crate) fn begin_request(&self) {
        self.requests.set(self.requests.get() + 1);
        self.mark_active();
    }

    /// Counts a request that ended, with the last byte of its response.
    pub(crate) fn end_request(&self, now: Instant) {
        self.requests.set(self.requests.get() - 1);
        self.idle_since.set(now);
        self.silent.set(false);
        if self.multiplexed.get() {
            self.mark_idle();
        }
    }

    /// Part of a request has arrived: the connection is not idle, and cannot be evicted.
    pub(crate) fn mark_active(&self) {
        self.registration.permit.mark_busy();
    }

    /// The connection is idle and can be evicted, unless a request is in flight.
    pub(crate) fn mark_idle(&self) {
        if self.requests.get() == 0 {
            self.registration
                .permit
                .mark_idle(self.idle_since.get(), self.silent.get());
        }
    }

    /// Marks the connection as HTTP/2.
    pub(crate) fn set_multiplexed(&self) {
        self.multiplexed.set(true);
        self.mark_idle();
    }

    /// Whether the connection must close now because it is evicted. An eviction is cancelled when
    /// data is still on the way. `unread`: whether the client has sent bytes that were not read
    /// yet.
    pub(crate) fn check_eviction(&self, unread: impl FnOnce() -> bool) -> bool {
        if !self.registration.permit.seat().is_evicted() {
            return false;
        }
        // Nor may a response be lost that the client has not read yet.
        let still_needed = self.watch.stuck_since().is_some() || unread();
        if still_needed {
            self.registration.permit.cancel_eviction(self.silent.get());
        }
        !still_needed
    }

    /// Grace period in which a closing idle connection still accepts one more request.
    pub(crate) fn grace_period(&self) -> Duration {
        if self.registration.permit.seat().is_evicted() {
            EVICTION_GRACE
        } else {
            CLOSE_GRACE
        }
    }

    /// Requests in flight.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// When the last request ended, or the connection was opened.
    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// Whether the next response must be the last: the listener closes, the connection is too old
    /// or evicted, or a request left it in an undefined state. Cancels an eviction that is not
    /// possible any more, and starts the close of a client that is no longer trusted.
    pub(crate) fn check_closing(&self) -> bool {
        if self.must_close.get() || self.listener.is_ending() || self.check_eviction(|| false) {
            return true;
        }
        let (view, id) = self.listener.current(&self.worker);
        let age = view.config().listener(id).timeouts.connection_age;
        age.is_some_and(|age| self.opened + age <= Instant::now()) || !self.check_client(&view, id)
    }

    /// Checks the client again after a change of trust. Called with every poll of the connection,
    /// also where it cannot close in order, as in the middle of a body.
    pub(crate) fn check_trust(&self) {
        let changes = self.listener.changes.get();
        if self.trust_checked.replace(changes) != changes {
            let (view, id) = self.listener.current(&self.worker);
            self.check_client(&view, id);
        }
    }

    /// Whether the client would pass a new handshake. If not, the connection is closed within
    /// `drainTimeout`.
    fn check_client(&self, view: &View, id: ListenerId) -> bool {
        let (failure, error) = match (&self.secured, view.tls(id)) {
            // TLS that is no longer configured does no harm.
            (None, None) | (Some(_), None) => return true,
            (None, Some(_)) => (Failure::NotTls, None),
            (Some(secured), Some(tls)) => match secured.verify(tls.trust.as_ref()) {
                Ok(trusted) => return trusted,
                Err(error) => (failure::of(&error), Some(error)),
            },
        };
        self.must_close.set(true);
        self.watch
            .cut_by(Instant::now() + view.config().lifecycle.drain_timeout);
        self.worker
            .tls_events
            .report(TlsEvent::Client(ClientFailure {
                listener: Arc::clone(&self.listener.shared.name),
                peer: self.peer,
                failure,
                error,
                certificate: self
                    .secured
                    .as_ref()
                    .and_then(|secured| secured.leaf().cloned()),
                live: true,
            }));
        self.listener
            .shared
            .counters
            .distrusted
            .fetch_add(1, Relaxed);
        false
    }

    /// The client, as decisions use it.
    pub(crate) fn subject(&self, listener: ListenerId) -> Subject<'_> {
        Subject {
            listener,
            peer: self.peer,
            peer_value: &self.peer_value,
            tls: self.secured.as_ref().map(Secured::tls),
        }
    }

    /// The identity of the client: by its certificate, under the current trust settings.
    pub(crate) fn identity(&self, view: &View, id: ListenerId) -> Option<Arc<Identity>> {
        let secured = self.secured.as_ref()?;
        self.check_client(view, id);
        secured.identity().cloned()
    }

    /// Makes the next response the last.
    pub(crate) fn close_after_response(&self) {
        self.must_close.set(true);
    }

    /// Counts a client that read nothing for too long; its requests in flight report it.
    pub(crate) fn record_slow_reader(&self) {
        self.slow_reader.set(true);
        self.worker.metrics.reject(Reason::TimeoutSlowRead);
    }

    /// Whether the client read nothing for too long.
    pub(crate) fn is_slow_reader(&self) -> bool {
        self.slow_reader.get()
    }

    /// Stores the upstream side of an upgraded connection for the connection task.
    pub(crate) fn upgrade(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Whether a 101 was sent.
    pub(crate) fn has_tunnel(&self) -> bool {
        self.tunnel.borrow().is_some()
    }

    /// Whether the connection has a time at which it is cut, because its client is no longer
    /// trusted.
    pub(crate) fn is_cut_scheduled(&self) -> bool {
        self.watch.cut_at().is_some()
    }

    /// When the connection reaches `timeouts.connectionAge`.
    pub(crate) fn age_deadline(&self) -> Option<Instant> {
        let (view, id) = self.listener.current(&self.worker);
        view.config()
            .listener(id)
            .timeouts
            .connection_age
            .map(|age| self.opened + age)
    }

    /// Takes the upstream side of an upgraded connection.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }
}
