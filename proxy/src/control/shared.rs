//! The state and requests that the admin and status servers share with the control loop.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::SystemTime,
};

use outrigger_config::model::Config;
use tokio::sync::{mpsc, oneshot};

use crate::{monitoring::Monitoring, snapshot::SnapshotCell, telemetry::metrics::Metrics};

/// The phase of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not every listener is bound.
    Starting,
    /// Everything is served.
    Serving,
    /// Not ready any more; still serving.
    Draining,
    /// Draining, and no inbound connection is left.
    Drained,
    /// Shutting down.
    Ending,
}

impl Phase {
    const ALL: [Self; 5] = [
        Self::Starting,
        Self::Serving,
        Self::Draining,
        Self::Drained,
        Self::Ending,
    ];

    /// Its name in `/status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Ending => "ending",
        }
    }
}

/// A request to the control loop.
pub(crate) enum Request {
    /// Read the file again; the response is the error, if any.
    Reload(oneshot::Sender<Option<String>>),
    /// Start a drain.
    Drain(oneshot::Sender<()>),
}

/// The state that the admin and status servers use.
pub(crate) struct Shared {
    pub metrics: Arc<Metrics>,
    pub cell: Arc<SnapshotCell>,
    /// What is known of the app.
    pub monitoring: Arc<Monitoring>,
    requests: mpsc::Sender<Request>,
    phase: AtomicU8,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    addresses: BTreeMap<String, SocketAddr>,
    last_error: Option<String>,
    pending_restart: Vec<&'static str>,
    loaded: Option<SystemTime>,
}

impl Shared {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        cell: Arc<SnapshotCell>,
        requests: mpsc::Sender<Request>,
    ) -> Self {
        let phase = AtomicU8::new(Phase::Starting as u8);
        Self {
            monitoring: Arc::new(Monitoring::new(Arc::clone(&metrics))),
            metrics,
            cell,
            requests,
            phase,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed))]
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.metrics
            .draining
            .store(phase >= Phase::Draining, Relaxed);
    }

    /// Stores and logs a bound address, for `/status`.
    pub(crate) fn bound(&self, name: &str, address: SocketAddr) {
        tracing::info!(%name, %address, "listening");
        self.state().addresses.insert(name.to_owned(), address);
    }

    pub(super) fn unbound(&self, name: &str) {
        self.state().addresses.remove(name);
    }

    /// Every bound address by name.
    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.state().addresses.clone()
    }

    /// Applies `monitor` of this configuration from now on.
    pub(super) fn monitor(&self, config: &Config) {
        let own = self.addresses().into_values().collect();
        self.monitoring.follow(config, own);
    }

    /// Notes that a configuration was published.
    pub(super) fn published(&self) {
        self.metrics.generation.fetch_add(1, Relaxed);
        let mut state = self.state();
        state.last_error = None;
        state.loaded = Some(SystemTime::now());
    }

    pub(super) fn refused(&self, error: String) {
        self.state().last_error = Some(error);
    }

    pub(super) fn wait_for_restart(&self, keys: Vec<&'static str>) {
        self.state().pending_restart = keys;
    }

    /// The error of the last reload, if it was rejected.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.state().last_error.clone()
    }

    /// Keys whose change needs a restart.
    pub(crate) fn pending_restart(&self) -> Vec<&'static str> {
        self.state().pending_restart.clone()
    }

    /// When the current configuration was published.
    pub(crate) fn loaded(&self) -> Option<SystemTime> {
        self.state().loaded
    }

    /// Sends a request to the control loop and waits for its response; `None` when the loop has
    /// ended.
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).await.ok()?;
        answer.await.ok()
    }
}
