//! One worker: a thread with its own runtime, listeners, connections and pools.
//!
//! A request lives on one worker from accept to last byte. The control thread reaches a worker through a bounded
//! queue of [`Command`]s, and through the snapshot cell, which every request looks at.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::TcpListener as StdListener,
    rc::{Rc, Weak},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::Cache;
use outrigger_filters::{jwt::TokenCache, request_id::RequestIds};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    listener::{ListenerLocal, ListenerShared, accept, http1::Spares},
    snapshot::{Snapshot, SnapshotCell},
    telemetry::{
        access_log::{LocalLog, Writer},
        metrics::{Metrics, Shard},
    },
    tls::notes::Notes,
    view::View,
};

/// How long cut requests may take to leave their line in the access log.
const CUT: Duration = Duration::from_millis(200);

/// What the control thread asks of a worker.
pub(crate) enum Command {
    /// Accept on this socket.
    Listen(Arc<ListenerShared>, StdListener),
    /// Stop accepting; connections end with their next answer.
    Close(Arc<ListenerShared>),
    /// Connections of inbound listeners end with their next answer; new ones are still served.
    EndInbound,
    /// A new snapshot is there: drop what belongs to the old one even when no request comes.
    Refresh,
    /// Stop accepting everywhere, finish what is in flight until then, cut the rest, then answer how many were cut.
    Finish(Instant, oneshot::Sender<usize>),
}

/// How the control thread reaches a worker.
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Hands a command over. A worker that is gone takes none; that is noticed elsewhere.
    pub(crate) async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// What all workers are made of.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The current snapshot.
    pub cell: Arc<SnapshotCell>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: Writer,
    /// What is told about TLS connections that were refused.
    pub notes: Notes,
}

/// Everything that the connections of one worker share.
pub(crate) struct Worker {
    /// Looks at the cell with one plain read while nothing changed.
    current: RefCell<Cache<Arc<SnapshotCell>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    shard: Arc<Shard>,
    /// Tokens that this worker has verified.
    tokens: Rc<RefCell<TokenCache>>,
    /// Process-wide counters.
    pub metrics: Arc<Metrics>,
    /// This worker's lines.
    pub log: Rc<LocalLog>,
    /// What is told about TLS connections that were refused.
    pub notes: Notes,
    /// New request ids.
    pub request_ids: RequestIds,
    /// Rooms for requests over HTTP/1.1 that no connection needs for now.
    pub spares: Spares,
    connections: Cell<usize>,
    /// This worker's side of every listener.
    listeners: RefCell<HashMap<u64, Rc<ListenerLocal>>>,
    /// Those that a reload has removed, as long as they have connections.
    removed: RefCell<Vec<Weak<ListenerLocal>>>,
}

impl Worker {
    fn new(parts: Parts) -> Self {
        let shard = parts.metrics.shard();
        let tokens = Rc::<RefCell<TokenCache>>::default();
        let view = View::new(parts.cell.load_full(), None, Arc::clone(&shard), &tokens);
        Self {
            current: RefCell::new(Cache::new(parts.cell)),
            view: RefCell::new(Rc::new(view)),
            shard,
            tokens,
            metrics: parts.metrics,
            log: Rc::new(LocalLog::new(parts.log)),
            notes: parts.notes,
            request_ids: RequestIds::new(),
            spares: Spares::default(),
            connections: Cell::new(0),
            listeners: RefCell::default(),
            removed: RefCell::default(),
        }
    }

    /// The current view. One atomic read while nothing changed.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut cache = self.current.borrow_mut();
        let current = cache.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(current, &view.snapshot) {
            let next = View::new(Arc::clone(current), Some(&view), Arc::clone(&self.shard), &self.tokens);
            *view = Rc::new(next);
        }
        Rc::clone(&view)
    }

    /// The listeners of this process.
    pub(crate) fn listeners(&self) -> Vec<Rc<ListenerLocal>> {
        self.listeners.borrow().values().cloned().collect()
    }

    /// Those, and those that a reload has removed and that still have connections.
    fn listeners_with_connections(&self) -> Vec<Rc<ListenerLocal>> {
        let mut all = self.listeners();
        all.extend(self.removed.borrow().iter().filter_map(Weak::upgrade));
        all
    }

    /// A reload has removed a listener.
    fn remove(&self, shared: &ListenerShared) -> Option<Rc<ListenerLocal>> {
        let local = self.listeners.borrow_mut().remove(&shared.id)?;
        let mut removed = self.removed.borrow_mut();
        removed.retain(|one| one.strong_count() > 0);
        removed.push(Rc::downgrade(&local));
        Some(local)
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        ConnectionGuard(Rc::clone(self))
    }
}

/// Counts one connection of this worker.
pub(crate) struct ConnectionGuard(Rc<Worker>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

/// Starts worker number `index`.
///
/// # Errors
/// The thread or its runtime could not be made.
pub(crate) fn start(index: usize, parts: Parts) -> io::Result<(Handle, thread::JoinHandle<()>)> {
    let (commands, queue) = mpsc::channel(64);
    let runtime = move || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let (started, ready) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        let _ = started.send(Ok(()));
        runtime.block_on(run(Rc::new(Worker::new(parts)), queue));
    })?;
    ready.recv().map_err(io::Error::other)??;
    Ok((Handle { commands }, thread))
}

async fn run(worker: Rc<Worker>, mut queue: mpsc::Receiver<Command>) {
    let mut inbound_ends = false;
    while let Some(command) = queue.recv().await {
        match command {
            Command::Listen(shared, socket) => {
                let view = worker.view();
                let Some(id) = view.listener_named(&shared.name) else { continue };
                let local = Rc::new(ListenerLocal::new(Arc::clone(&shared), view, id));
                if inbound_ends && local.is_inbound() {
                    local.end_connections(); // a reload in the middle of a drain
                }
                worker.listeners.borrow_mut().insert(shared.id, Rc::clone(&local));
                tokio::task::spawn_local(accept::run(Rc::clone(&worker), local, socket));
            }
            Command::Close(shared) => {
                if let Some(local) = worker.remove(&shared) {
                    local.stop_accepting();
                    local.end_connections();
                }
            }
            Command::EndInbound => {
                inbound_ends = true;
                worker
                    .listeners_with_connections()
                    .iter()
                    .filter(|one| one.is_inbound())
                    .for_each(|one| one.drain_connections());
            }
            Command::Refresh => {
                drop(worker.view());
                worker.listeners().iter().for_each(|one| one.judge_again(&worker));
            }
            Command::Finish(deadline, done) => {
                worker.listeners().iter().for_each(|one| one.stop_accepting());
                let listeners = worker.listeners_with_connections();
                listeners.iter().for_each(|one| one.drain_connections());
                let left = connections_until(deadline, &worker).await;
                if left > 0 {
                    listeners.iter().for_each(|one| one.cut_connections());
                    connections_until(Instant::now() + CUT, &worker).await;
                }
                worker.log.hand_over();
                let _ = done.send(left);
            }
        }
    }
}

/// Waits until the last connection is gone, or until `deadline`; how many are left. A look every few milliseconds,
/// only while the process ends.
async fn connections_until(deadline: Instant, worker: &Worker) -> usize {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while worker.connections.get() > 0 && Instant::now() < deadline {
        tick.tick().await;
    }
    worker.connections.get()
}
