//! One worker, as its listeners, connections and requests use it: a thread with its own view,
//! counters and log.
//!
//! A request lives on one worker from accept to last byte. [`crate::serve`] starts workers and
//! assigns listeners to them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use arc_swap::Cache;
use outrigger_filters::{jwt::TokenCache, request_id::RequestIds};

use crate::{
    snapshot::{Snapshot, SnapshotCell},
    telemetry::{
        access_log::{LocalLog, Writer},
        metrics::{Metrics, Shard},
    },
    tls::report::TlsEvents,
    view::View,
};

/// What every worker is built from.
#[derive(Clone)]
pub(crate) struct Parts {
    pub cell: Arc<SnapshotCell>,
    pub metrics: Arc<Metrics>,
    /// Writer of the access log.
    pub log: Writer,
    /// Queue of TLS failures, for the operational log.
    pub tls_events: TlsEvents,
}

/// Everything that the connections of one worker share.
pub(crate) struct Worker {
    /// Cached snapshot: one plain read while nothing changed.
    current: RefCell<Cache<Arc<SnapshotCell>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    shard: Arc<Shard>,
    /// Tokens that this worker has verified.
    tokens: Rc<RefCell<TokenCache>>,
    pub metrics: Arc<Metrics>,
    /// This worker's access-log lines.
    pub log: Rc<LocalLog>,
    /// Queue of TLS failures, for the operational log.
    pub tls_events: TlsEvents,
    /// Generates request ids.
    pub request_ids: RequestIds,
    connections: Cell<usize>,
}

impl Worker {
    /// The worker of this thread.
    pub(crate) fn new(parts: Parts) -> Self {
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
            tls_events: parts.tls_events,
            request_ids: RequestIds::new(),
            connections: Cell::new(0),
        }
    }

    /// The current view. One atomic read while nothing changed.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut cache = self.current.borrow_mut();
        let current = cache.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(current, &view.snapshot) {
            let next = View::new(
                Arc::clone(current),
                Some(&view),
                Arc::clone(&self.shard),
                &self.tokens,
            );
            *view = Rc::new(next);
        }
        Rc::clone(&view)
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
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
