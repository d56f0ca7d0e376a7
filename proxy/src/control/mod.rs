//! The control thread: starts the workers, publishes configurations, drains and shuts down.
//!
//! All slow work happens here, and nothing here delays a request. One loop makes all decisions;
//! signals, the file watcher and the admin server only send it messages.

mod drain;
pub(crate) mod limits;
mod listeners;
mod logs;
mod reload;
mod reports;
pub(crate) mod shared;
pub(crate) mod signal;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use outrigger_config::model::{Config, Workers};
use outrigger_config::{
    Environment, Loaded, ProcessEnvironment, Reloader, Source, cannot_update, default_config,
};
use outrigger_transport::{dns::Lookups, tls::client::TrustError};
use tokio::{select, sync::mpsc};

use self::{
    drain::Drain,
    listeners::Listeners,
    logs::Logs,
    reload::Changes,
    reports::Reports,
    shared::{Phase, Request, Shared},
    signal::Signals,
};
use crate::{
    admin::{self, app_probe::AppProbe},
    jwks::keeper::Keepers,
    serve::{self, Handle},
    snapshot::{Snapshot, SnapshotCell, Unusable},
    telemetry::{
        access_log::Writer,
        events::{EndpointEvent, Reporter},
        metrics::Metrics,
        stdout::Stdout,
    },
    tls::{
        report::{TlsEvent, TlsEvents},
        server::TlsError,
    },
    upstream::health::HealthChecks,
    worker::Parts,
};

/// How long a start or reload waits for the first DNS responses of new host names.
const FIRST_LOOKUP: Duration = Duration::from_secs(1);

/// How long a start or reload waits for keys of token providers.
const FIRST_KEYS: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configuration was rejected.
    #[error(transparent)]
    Config(#[from] outrigger_config::LoadError),
    #[error("cannot listen on {address} ({name}): {}", listeners::reason(source))]
    Bind {
        /// The listener, `status` or `admin`.
        name: String,
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS settings of a listener do not match.
    #[error("the TLS settings of listener {name} cannot be used: {source}")]
    Tls {
        name: String,
        /// The library's error.
        source: TlsError,
    },
    /// An upstream has no trusted root, or its client certificate cannot be used.
    #[error("the TLS settings of upstream {name} cannot be used: {source}")]
    UpstreamTls {
        /// The upstream.
        name: String,
        /// What is missing.
        source: TrustError,
    },
    /// A source of `logs` cannot be used.
    #[error(transparent)]
    LogSettings(#[from] outrigger_logs::settings::Unaccepted),
    /// The log shipper cannot run.
    #[error("logs: {0}")]
    Logs(#[from] outrigger_logs::shipper::StartError),
    /// A thread, signal handler or runtime could not be made.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By a signal; requests in flight finished, or `drainTimeout` elapsed.
    Gracefully,
    /// By a second signal, at once.
    Forced,
}

/// The source of the configuration.
#[derive(Debug, Clone)]
pub(crate) enum ConfigSource {
    /// A file.
    File(PathBuf),
    /// The built-in default: port 8000 in front of an app on port 8080.
    Default,
}

/// Runs the proxy until a signal ends it. The status server asks `app_probes` for the kubelet.
///
/// # Errors
/// It did not start; nothing is left running.
pub(crate) fn run(source: ConfigSource, app_probes: Vec<AppProbe>) -> Result<Ended, StartError> {
    limits::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let control = Control::start(source, app_probes, &ProcessEnvironment).await?;
        Ok(control.run().await)
    })
}

/// The control thread's state.
struct Control {
    shared: Arc<Shared>,
    cell: Arc<SnapshotCell>,
    workers: Vec<Handle>,
    listeners: Listeners,
    reloader: Option<Reloader>,
    changes: Changes,
    requests: mpsc::Receiver<Request>,
    signals: Signals,
    drain: Drain,
    lookups: Lookups,
    keepers: Keepers,
    health_checks: HealthChecks,
    reports: Reports,
    logs: Logs,
    log: Writer,
    tls_failures: Reporter<TlsEvent>,
    /// Queue for the workers' TLS failures.
    tls_events: TlsEvents,
    endpoints: Reporter<EndpointEvent>,
    /// Keys whose change needs a restart are compared with this.
    started_with: Arc<Config>,
}

impl Control {
    async fn start(
        source: ConfigSource,
        app_probes: Vec<AppProbe>,
        environment: &dyn Environment,
    ) -> Result<Self, StartError> {
        let signals = Signals::listen()?;
        let (config, reloader) = load(source, environment)?;
        let config = Arc::new(config);
        let metrics = Arc::<Metrics>::default();
        let endpoints = metrics.endpoint_events();
        count_panics(Arc::clone(&metrics));
        let count = worker_count(config.workers);
        let mut listeners = Listeners::new(count, Arc::clone(&metrics));
        let change = listeners.prepare(&config)?;
        let servers = admin::Servers::bind(&config)?;
        let (tls_failures, tls_events) = Reporter::new();
        let snapshot = Arc::new(build(&config, None, &metrics, &tls_events)?);
        let mut lookups = Lookups::default();
        let mut keepers = Keepers::new(lookups.resolver());
        tokio::join!(
            lookups.begin(snapshot.names(), FIRST_LOOKUP),
            keepers.begin(&snapshot.keys, FIRST_KEYS)
        );
        metrics.name(&config);
        let cell: Arc<SnapshotCell> = Arc::new(ArcSwap::new(snapshot));
        let read = Arc::clone(&cell);
        metrics.set_upstream_reader(move || {
            read.load().upstreams.iter().map(|one| one.read()).collect()
        });
        let log = Writer::start(Stdout::new()?, Arc::clone(&metrics))?;
        let counters = Arc::default();
        let logs = Logs::start(config.logs.as_ref(), Arc::clone(&counters), log.clone())?;
        metrics.show_logs(config.logs.is_some().then_some(counters));
        let parts = Parts {
            cell: Arc::clone(&cell),
            metrics: Arc::clone(&metrics),
            log: log.clone(),
            tls_events: tls_events.clone(),
        };
        let workers = (0..count)
            .map(|index| serve::start(index, parts.clone()).map(|(handle, _)| handle))
            .collect::<io::Result<Vec<_>>>()?;
        let (asked, requests) = mpsc::channel(16);
        let shared = Arc::new(Shared::new(metrics, Arc::clone(&cell), asked));
        let changes = Changes::watch(reloader.as_ref(), &config.reload);
        listeners.publish(change, &workers, &shared).await;
        servers.serve(&shared, app_probes);
        shared.metrics.set_certificates(certificates(&config));
        shared.metrics.set_gates(cell.load().gates());
        shared.monitor(&config);
        shared.published();
        shared.set_phase(Phase::Serving);
        let drain = Drain::default();
        let mut health_checks = HealthChecks::default();
        health_checks.follow(&cell.load().upstreams);
        let mut reports = Reports::default();
        reports.watch(&config);
        Ok(Self {
            shared,
            cell,
            workers,
            listeners,
            reloader,
            changes,
            requests,
            signals,
            drain,
            lookups,
            keepers,
            health_checks,
            reports,
            logs,
            log,
            tls_failures,
            tls_events,
            endpoints,
            started_with: config,
        })
    }

    async fn run(mut self) -> Ended {
        loop {
            select! {
                signal = self.signals.next() => match signal {
                    signal::Signal::Hangup => drop(self.reload(true).await),
                    ending => return self.end(ending).await,
                },
                () = self.changes.next() => drop(self.reload(false).await),
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = self.drain.next() => self.drain_step().await,
                () = self.reports.next() => self.reports.log(&self.shared.metrics),
                event = self.tls_failures.next() => self.tls_failures.log(&event),
                event = self.endpoints.next() => self.endpoints.log(&event),
            }
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Reload(done) => {
                let _ = done.send(self.reload(true).await.err());
            }
            Request::Drain(done) => {
                self.begin_drain();
                let _ = done.send(());
            }
        }
    }

    /// Updates everything that reports on the published configuration: metrics, `/status`, and the
    /// log.
    fn report_published(&self) {
        self.shared
            .metrics
            .set_certificates(certificates(&self.config()));
        self.shared.metrics.set_gates(self.cell.load().gates());
        self.shared.monitor(&self.config());
        self.shared.published();
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.cell.load().config)
    }
}

/// Every server certificate of `config`, with its listener, file and expiry.
fn certificates(config: &Config) -> Vec<(Arc<str>, String, u64)> {
    let mut shown = Vec::new();
    for listener in &config.listeners {
        let Some(tls) = &listener.tls else { continue };
        for one in
            std::iter::once(&tls.certificate).chain(tls.sni.iter().map(|item| &item.certificate))
        {
            let file = one.cert_file.display().to_string();
            let end = one
                .not_after
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |end| end.as_secs());
            // One file for several names is one certificate.
            if !shown
                .iter()
                .any(|(name, known, _)| *name == listener.name && *known == file)
            {
                shown.push((Arc::clone(&listener.name), file, end));
            }
        }
    }
    shown
}

/// Builds the snapshot of an accepted configuration.
fn build(
    config: &Arc<Config>,
    old: Option<&Snapshot>,
    metrics: &Metrics,
    tls_events: &TlsEvents,
) -> Result<Snapshot, StartError> {
    Snapshot::build(Arc::clone(config), old, metrics, tls_events).map_err(|unusable| match unusable
    {
        Unusable::Listener(name, source) => StartError::Tls {
            name: name.to_string(),
            source,
        },
        Unusable::Upstream(name, source) => StartError::UpstreamTls {
            name: name.to_string(),
            source,
        },
    })
}

fn load(
    source: ConfigSource,
    environment: &dyn Environment,
) -> Result<(Config, Option<Reloader>), StartError> {
    let path = match source {
        ConfigSource::File(path) => path,
        ConfigSource::Default => {
            tracing::warn!(
                "no configuration file: listening on port 8000 in front of 127.0.0.1:8080"
            );
            return Ok((default_config(), None));
        }
    };
    let source = Source::new(path);
    let loaded = source.load(environment)?;
    warn(&loaded);
    for file in loaded.files.iter().filter(|file| cannot_update(file)) {
        tracing::warn!(
            file = %file.display(),
            "the file is a mount of its own (a subPath?) and will never change; mount its directory instead"
        );
    }
    let reloader = Reloader::new(source, &loaded);
    Ok((loaded.config, Some(reloader)))
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

fn worker_count(workers: Workers) -> usize {
    /// More would increase memory on a large node; a sidecar has a small share of it
    /// (`docs/decisions.md`).
    const MOST: usize = 2;
    match workers {
        Workers::Fixed(count) => usize::from(count),
        Workers::Auto => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST),
    }
}

/// A panic ends one connection: that of the task in which it happened. Each is counted and logged
/// here.
fn count_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics
            .panics
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::error!("panic: {panic}");
    }));
}
