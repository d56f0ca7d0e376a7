//! A listener as its connections see it: what all workers share of it, and one worker's side.

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

/// How many clients are judged again in one turn, and how long a turn is.
const AT_ONCE: usize = 16;
const TURN: Duration = Duration::from_millis(5);

/// How often a worker that waits for room looks for idle connections.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What ledgers count time from, so that those of all listeners can be compared.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What all workers share about one listener: counts that limits look at.
pub(crate) struct ListenerShared {
    /// Unique in this process, also over reloads.
    pub id: u64,
    /// The listener's name.
    pub name: Arc<str>,
    /// Whether it serves the outside or the app.
    pub direction: Direction,
    /// The bound address.
    pub address: SocketAddr,
    /// Counters.
    pub counters: Arc<ListenerCounters>,
    /// Limit on open connections where the file names none.
    pub default_connections: usize,
    pub(super) open: AtomicUsize,
    /// Tells that a connection was closed.
    pub closed: Notify,
    ledger: Mutex<Ledger>,
    /// Accepts that failed.
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

    /// Open connections, over all workers.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Waits with a new connection until fewer than `limit` are open; the longest idle ones leave for it.
    ///
    /// Nothing is reserved, so workers that accept in the same moment may go over the limit by one each.
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

    /// Which connections make room for others.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A time as ledgers count it.
    pub(crate) fn moment(at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(0)
    }

    /// The same of now.
    pub(crate) fn now() -> u64 {
        Self::moment(Instant::now())
    }
}

/// One worker's side of a listener.
pub(crate) struct ListenerLocal {
    /// The shared side.
    pub shared: Arc<ListenerShared>,
    /// The newest view that has this listener; a removed listener's connections end on its last one.
    last: RefCell<(Rc<View>, ListenerId)>,
    ending: Cell<bool>,
    /// How often upgraded connections were asked to end.
    drains: Cell<u32>,
    cut: Cell<bool>,
    /// Ends the accept loop.
    pub stop: Notify,
    /// The TLS by which the clients of its connections were judged last.
    judged: RefCell<Option<Arc<Tls>>>,
    /// How often that has changed.
    pub(super) changes: Cell<u32>,
    connections: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl ListenerLocal {
    /// A listener that begins with `view`, in which it is `id`.
    pub(crate) fn new(shared: Arc<ListenerShared>, view: Rc<View>, id: ListenerId) -> Self {
        Self {
            shared,
            judged: RefCell::new(view.tls(id).cloned()),
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

    /// The view for a new request, and which listener of it this is.
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

    /// Whether requests come from outside.
    pub(crate) fn is_inbound(&self) -> bool {
        self.shared.direction == Direction::Inbound
    }

    /// Ends the accept loop after what the kernel has queued.
    pub(crate) fn stop_accepting(&self) {
        self.stop.notify_one();
    }

    /// Asks every connection to end, also those still to come.
    pub(crate) fn end_connections(&self) {
        self.ending.set(true);
        self.wake_connections();
    }

    /// Asks every connection to end, and upgraded ones as well, of those that there are now.
    pub(crate) fn drain_connections(&self) {
        self.drains.set(self.drains.get().wrapping_add(1));
        self.end_connections();
    }

    /// How often upgraded connections were asked to end.
    pub(crate) fn drains(&self) -> u32 {
        self.drains.get()
    }

    /// Drops every connection with what is in flight on it: its time is over.
    pub(crate) fn cut_connections(&self) {
        self.cut.set(true);
        self.wake_connections();
    }

    /// Has every connection ask again whether its client is believed, when that may have changed.
    pub(crate) fn judge_again(self: &Rc<Self>, worker: &Worker) {
        let (view, id) = self.current(worker);
        let before = self.judged.replace(view.tls(id).cloned());
        let trust =
            |tls: &Option<Arc<Tls>>| tls.as_ref().map(|tls| tls.trust.as_ref().map(Arc::as_ptr));
        if trust(&before) != trust(&self.judged.borrow()) {
            self.changes.set(self.changes.get().wrapping_add(1));
            tokio::task::spawn_local(Rc::clone(self).wake_in_turns());
        }
    }

    /// A chain takes a good part of a millisecond to verify: with thousands of connections, all in one go would hold up
    /// the requests of this worker.
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

    /// Whether connections are dropped.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Whether connections are asked to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Has `waker` woken when connections are asked to end.
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

/// Has a connection woken as long as it is there.
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
