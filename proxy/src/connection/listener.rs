//! A listener as its connections use it: the state that all workers share, and one worker's own.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use outrigger_config::model::{Direction, Listener, ListenerId};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    failures::Failures,
    seats::{Count, Ledger},
};
use crate::{
    telemetry::metrics::{Limit, ListenerCounters},
    tls::server::Tls,
    view::View,
    worker::Worker,
};

/// How many clients are checked again in one turn, and the length of a turn.
const AT_ONCE: usize = 16;
const TURN: Duration = Duration::from_millis(5);

/// How often a worker that waits at the limit looks for idle connections.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The zero of times in ledgers, the same for all listeners so that they are comparable.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The state of a listener that all workers share: the counts behind the limits.
pub(crate) struct ListenerShared {
    /// Unique in this process, also across reloads.
    pub id: u64,
    pub name: Arc<str>,
    /// Whether it serves clients from outside or the app.
    pub direction: Direction,
    pub address: SocketAddr,
    pub counters: Arc<ListenerCounters>,
    /// Limit on open connections where the configuration sets none.
    pub default_connections: usize,
    pub(super) open: AtomicUsize,
    /// Notified when a connection was closed.
    pub closed: Notify,
    ledger: Mutex<Ledger>,
    /// Failed accepts.
    pub failures: Failures,
}

impl ListenerShared {
    /// A listener that was just bound.
    pub(crate) fn new(
        id: u64,
        model: &Listener,
        address: SocketAddr,
        counters: Arc<ListenerCounters>,
        default_connections: usize,
    ) -> Self {
        Self {
            id,
            name: Arc::clone(&model.name),
            direction: model.direction,
            address,
            counters,
            default_connections,
            open: AtomicUsize::new(0),
            closed: Notify::new(),
            ledger: Mutex::default(),
            failures: Failures::default(),
        }
    }

    /// Open connections of all workers.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Waits with a new connection until fewer than `limit` are open; evicts the connections that
    /// have been idle longest.
    ///
    /// Nothing is reserved, so workers that accept at the same moment may exceed the limit by one
    /// each.
    pub(crate) async fn room(&self, limit: impl Fn() -> usize) {
        let mut waits = false;
        loop {
            let closed = self.closed.notified();
            let limit = limit();
            if self.open_connections() < limit {
                return;
            }
            let leaving = {
                let mut ledger = self.ledger();
                if self.open_connections() < limit {
                    return;
                }
                ledger.make_room(Limit::Listener, Count::at(limit), Self::now())
            };
            if leaving == 0 && !std::mem::replace(&mut waits, true) {
                self.counters.waits.fetch_add(1, Relaxed);
            }
            let _ = timeout(LOOK_AGAIN, closed).await;
        }
    }

    /// The ledger of connections, which decides on evictions.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instant as a time in ledgers.
    pub(crate) fn moment(at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(0)
    }

    /// The current time in ledgers.
    pub(crate) fn now() -> u64 {
        Self::moment(Instant::now())
    }
}

/// One worker's state of a listener.
pub(crate) struct ListenerLocal {
    /// The state that all workers share.
    pub shared: Arc<ListenerShared>,
    /// The newest view with this listener. Connections of a removed listener end with its last
    /// view.
    last: RefCell<(Rc<View>, ListenerId)>,
    ending: Cell<bool>,
    /// How often upgraded connections were asked to close.
    drains: Cell<u32>,
    cut: Cell<bool>,
    /// Ends the accept loop.
    pub stop: Notify,
    /// The TLS settings that connections were last checked against.
    checked: RefCell<Option<Arc<Tls>>>,
    /// How often these settings have changed.
    pub(super) changes: Cell<u32>,
    connections: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl ListenerLocal {
    /// A listener that starts with `view`, in which it has the number `id`.
    pub(crate) fn new(shared: Arc<ListenerShared>, view: Rc<View>, id: ListenerId) -> Self {
        Self {
            shared,
            checked: RefCell::new(view.tls(id).cloned()),
            changes: Cell::new(0),
            last: RefCell::new((view, id)),
            ending: Cell::new(false),
            drains: Cell::new(0),
            cut: Cell::new(false),
            stop: Notify::new(),
            connections: RefCell::default(),
            free: RefCell::default(),
        }
    }

    /// The view for a new request, and this listener's number in it.
    pub(crate) fn current(&self, worker: &Worker) -> (Rc<View>, ListenerId) {
        let view = worker.view();
        let mut last = self.last.borrow_mut();
        if !Rc::ptr_eq(&last.0, &view)
            && let Some(id) = view.listener_named(&self.shared.name)
        {
            *last = (view, id);
        }
        (Rc::clone(&last.0), last.1)
    }

    /// Whether it serves clients from outside.
    pub(crate) fn is_inbound(&self) -> bool {
        self.shared.direction == Direction::Inbound
    }

    /// Ends the accept loop after the connections that the kernel has queued.
    pub(crate) fn stop_accepting(&self) {
        self.stop.notify_one();
    }

    /// Asks all connections to close, also those that are still to come.
    pub(crate) fn end_connections(&self) {
        self.ending.set(true);
        self.wake_connections();
    }

    /// Asks all connections to close, and also the upgraded ones that exist now.
    pub(crate) fn drain_connections(&self) {
        self.drains.set(self.drains.get().wrapping_add(1));
        self.end_connections();
    }

    /// How often upgraded connections were asked to close.
    pub(crate) fn drains(&self) -> u32 {
        self.drains.get()
    }

    /// Cuts all connections together with their requests in flight: the drain time is over.
    pub(crate) fn cut_connections(&self) {
        self.cut.set(true);
        self.wake_connections();
    }

    /// Makes all connections check their clients again, if trust may have changed.
    pub(crate) fn recheck_clients(self: &Rc<Self>, worker: &Worker) {
        let (view, id) = self.current(worker);
        let before = self.checked.replace(view.tls(id).cloned());
        let trust =
            |tls: &Option<Arc<Tls>>| tls.as_ref().map(|tls| tls.trust.as_ref().map(Arc::as_ptr));
        if trust(&before) != trust(&self.checked.borrow()) {
            self.changes.set(self.changes.get().wrapping_add(1));
            tokio::task::spawn_local(Rc::clone(self).wake_in_turns());
        }
    }

    /// Wakes the connections in groups. Verifying a chain takes a considerable part of a
    /// millisecond, so thousands at once would delay the requests of this worker.
    async fn wake_in_turns(self: Rc<Self>) {
        let mut turn = tokio::time::interval(TURN);
        let mut at = 0;
        loop {
            turn.tick().await;
            let connections = self.connections.borrow();
            let Some(next) = connections.get(at..).filter(|rest| !rest.is_empty()) else {
                return;
            };
            next.iter()
                .take(AT_ONCE)
                .flatten()
                .for_each(Waker::wake_by_ref);
            at += AT_ONCE;
        }
    }

    fn wake_connections(&self) {
        self.connections
            .borrow()
            .iter()
            .flatten()
            .for_each(Waker::wake_by_ref);
    }

    /// Whether connections are cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Whether connections are asked to close.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Wakes `waker` when connections are asked to close, until the guard is dropped.
    pub(crate) fn on_ending(self: &Rc<Self>, waker: Waker) -> EndingGuard {
        let mut connections = self.connections.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or(connections.len());
        if slot == connections.len() {
            connections.push(Some(waker));
        } else {
            connections[slot] = Some(waker);
        }
        EndingGuard {
            listener: Rc::clone(self),
            slot,
        }
    }
}

/// Keeps a waker registered for the close of connections.
pub(crate) struct EndingGuard {
    listener: Rc<ListenerLocal>,
    slot: usize,
}

impl Drop for EndingGuard {
    fn drop(&mut self) {
        self.listener.connections.borrow_mut()[self.slot] = None;
        self.listener.free.borrow_mut().push(self.slot);
    }
}
