//! One client connection as the steps of its requests see it.

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
use outrigger_filters::{client_address, context::Alarm, identity::Identity, reason::Reason};
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

/// The place of one connection in all counts, from accept to its end.
pub(crate) struct Place {
    listener: Rc<ListenerLocal>,
    /// Limits on connections.
    pub(crate) permit: Permit,
    _counted: ConnectionGuard,
}

impl Place {
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

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.shared.counters.open.fetch_sub(1, Relaxed);
    }
}

/// How long an idle connection that is asked to end may still bring one more request. A request that crosses our
/// close would be lost without it.
pub(crate) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How long an HTTP/2 connection that makes room for another one has after GOAWAY: its client may have sent a request
/// before it heard of that.
const FAREWELL: Duration = Duration::from_millis(250);

/// One client connection.
pub(crate) struct Client {
    /// The worker it lives on.
    pub worker: Rc<Worker>,
    /// The listener it came through.
    pub listener: Rc<ListenerLocal>,
    /// The peer; IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The peer as a header value, for every request that is not forwarded by somebody trusted.
    pub peer_value: HeaderValue,
    /// What TLS has found out; `None` without TLS.
    secured: Option<Secured>,
    /// Changes of trust that were heard of.
    heard: Cell<u32>,
    /// What the socket tells.
    pub watch: Rc<Watch>,
    opened: Instant,
    requests: Cell<usize>,
    /// When the last request ended, or the connection began.
    idle_since: Cell<Instant>,
    /// No request has ended yet.
    silent: Cell<bool>,
    /// It is HTTP/2: what is between two requests is idle. HTTP/1.1 may still have to write the answer.
    multiplexed: Cell<bool>,
    /// The connection must not be used for another request.
    must_close: Cell<bool>,
    /// The client took nothing for too long.
    slow_reader: Cell<bool>,
    /// Of the last request, for the next one.
    pub alarm: Cell<Alarm>,
    /// What a 101 leaves behind.
    tunnel: RefCell<Option<Tunnel>>,
    place: Place,
}

impl Client {
    /// A connection of which it is known who the peer is.
    pub(crate) fn new(
        worker: Rc<Worker>,
        place: Place,
        peer: IpAddr,
        secured: Option<Secured>,
        watch: Rc<Watch>,
    ) -> Self {
        let opened = Instant::now();
        let listener = Rc::clone(&place.listener);
        Self {
            heard: Cell::new(listener.changes.get()),
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
            place,
        }
    }

    /// A request begins.
    pub(crate) fn begin_request(&self) {
        self.requests.set(self.requests.get() + 1);
        self.works();
    }

    /// A request has ended, with the last byte of its answer.
    pub(crate) fn end_request(&self, now: Instant) {
        self.requests.set(self.requests.get() - 1);
        self.idle_since.set(now);
        self.silent.set(false);
        if self.multiplexed.get() {
            self.rests();
        }
    }

    /// Something of a request has come: the connection is not idle, and need not make room for another one.
    pub(crate) fn works(&self) {
        self.place.permit.work();
    }

    /// The connection is idle, unless a request is in flight: it may have to make room for another one.
    pub(crate) fn rests(&self) {
        if self.requests.get() == 0 {
            self.place
                .permit
                .rest(self.idle_since.get(), self.silent.get());
        }
    }

    /// The connection is HTTP/2 from now on.
    pub(crate) fn multiplexes(&self) {
        self.multiplexed.set(true);
        self.rests();
    }

    /// Whether the connection must make room for another one. `unread`: whether something has come that nobody has read.
    pub(crate) fn is_evicted(&self, unread: impl FnOnce() -> bool) -> bool {
        if !self.place.permit.seat().is_evicted() {
            return false;
        }
        // An answer that still waits to be taken is not to be lost either.
        let stays = self.watch.stuck_since().is_some() || unread();
        if stays {
            self.place.permit.stay(self.silent.get());
        }
        !stays
    }

    /// How long a connection that is asked to end may still bring one more request.
    pub(crate) fn last_chance(&self) -> Duration {
        if self.place.permit.seat().is_evicted() {
            FAREWELL
        } else {
            LAST_CHANCE
        }
    }

    /// Requests that have not ended.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// When the last request ended, or the connection began.
    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// Whether the next answer must be the last: the listener ends, the connection is old or makes room for another one,
    /// or a request left it in a state that cannot be trusted.
    pub(crate) fn is_ending(&self) -> bool {
        if self.must_close.get() || self.listener.is_ending() || self.is_evicted(|| false) {
            return true;
        }
        let (view, id) = self.listener.current(&self.worker);
        let age = view.config().listener(id).timeouts.connection_age;
        age.is_some_and(|age| self.opened + age <= Instant::now()) || !self.is_believed(&view, id)
    }

    /// Judges the client again when there was a change of trust; asked with every poll of the connection, also while it
    /// has nobody to tell, as in the middle of a body.
    pub(crate) fn hear(&self) {
        let changes = self.listener.changes.get();
        if self.heard.replace(changes) != changes {
            let (view, id) = self.listener.current(&self.worker);
            self.is_believed(&view, id);
        }
    }

    /// Whether a new handshake would let the client in again. When not, the connection ends within `drainTimeout`.
    fn is_believed(&self, view: &View, id: ListenerId) -> bool {
        let (failure, error) = match (&self.secured, view.tls(id)) {
            // TLS that nobody asks for any more does no harm.
            (None, None) | (Some(_), None) => return true,
            (None, Some(_)) => (Failure::NotTls, None),
            (Some(secured), Some(tls)) => match secured.judge(tls.trust.as_ref()) {
                Ok(believed) => return believed,
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

    /// The client, as decisions see it.
    pub(crate) fn subject(&self, listener: ListenerId) -> Subject<'_> {
        Subject {
            listener,
            peer: self.peer,
            peer_value: &self.peer_value,
            tls: self.secured.as_ref().map(Secured::tls),
        }
    }

    /// Who the client is, by its certificate and the trust of today.
    pub(crate) fn identity(&self, view: &View, id: ListenerId) -> Option<Arc<Identity>> {
        let secured = self.secured.as_ref()?;
        self.is_believed(view, id);
        secured.identity().cloned()
    }

    /// Makes the next answer the last.
    pub(crate) fn close_after_answer(&self) {
        self.must_close.set(true);
    }

    /// Counts that the client took nothing for too long; what is in flight says so.
    pub(crate) fn reads_too_slowly(&self) {
        self.slow_reader.set(true);
        self.worker.metrics.reject(Reason::TimeoutSlowRead);
    }

    /// Whether it did.
    pub(crate) fn is_slow_reader(&self) -> bool {
        self.slow_reader.get()
    }

    /// Leaves the other end of an upgraded connection for the connection task.
    pub(crate) fn upgrade(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Whether a 101 left something behind.
    pub(crate) fn has_tunnel(&self) -> bool {
        self.tunnel.borrow().is_some()
    }

    /// Whether the connection is cut at a time that is set already, since its client is not believed any more.
    pub(crate) fn must_go(&self) -> bool {
        self.watch.cut_at().is_some()
    }

    /// When the connection is asked to end for its age.
    pub(crate) fn end_of_age(&self) -> Option<Instant> {
        let (view, id) = self.listener.current(&self.worker);
        view.config()
            .listener(id)
            .timeouts
            .connection_age
            .map(|age| self.opened + age)
    }

    /// Takes what a 101 left behind.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }
}
