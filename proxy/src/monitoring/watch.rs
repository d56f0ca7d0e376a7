//! What a `monitor` block asks for, running: readings, the app's own page, checks, and pushes.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use outrigger_config::model::{App, Monitor, ProcessSelect};
use outrigger_monitor::{
    checks::{Checks, Report},
    exposition::Page,
    observer::{Observer, Reading, Settings},
    process::Select,
    push::Pusher,
    roots::Roots,
    scrape::{Failure, Fetched, Scraper},
};
use outrigger_transport::dns::Resolver;
use tokio::time::Instant;

use super::budget::Budget;
use crate::telemetry::metrics::{Format, Scraped, family_names};

/// What one `monitor` block asks for.
pub(super) struct Watch {
    /// The accepted block and the app, to see whether a reload changed them.
    model: (Monitor, Option<App>),
    observed: Mutex<Observed>,
    scraper: Option<Scraper>,
    checks: Checks,
    pusher: Option<Pusher>,
}

struct Observed {
    observer: Observer,
    last: Option<(Instant, Reading)>,
    /// Whether it was said that no process is visible.
    warned: bool,
}

impl Watch {
    /// Reads nothing yet; begins with checks, on the current runtime.
    pub(super) fn new(monitor: &Monitor, app: Option<&App>) -> Self {
        let resolver = Arc::<Resolver>::default();
        let select = match &monitor.processes.select {
            ProcessSelect::Listener => Select::Listener,
            ProcessSelect::Command(command) => Select::Command(command.clone()),
            ProcessSelect::PidFile(file) => Select::PidFile(file.to_path_buf()),
        };
        let settings = Settings {
            roots: Roots {
                proc: PathBuf::from(&*monitor.proc_path),
                cgroup: PathBuf::from(&*monitor.cgroup_path),
            },
            app: app.map(|app| app.address.clone()),
            select,
        };
        let scraper = monitor.scrape.as_ref().and_then(|scrape| {
            let scraper = Scraper::new(scrape.address, &scrape.path, scrape.timeout);
            scraper
                .inspect_err(|error| tracing::error!(%error, "the app's metrics cannot be fetched"))
                .ok()
        });
        Self {
            model: (monitor.clone(), app.cloned()),
            observed: Mutex::new(Observed {
                observer: Observer::new(settings),
                last: None,
                warned: false,
            }),
            scraper,
            checks: Checks::start(&monitor.checks, &resolver),
            pusher: monitor
                .push
                .as_ref()
                .map(|push| Pusher::new(push, resource(), &resolver)),
        }
    }

    /// The app that it watches.
    pub(super) fn app(&self) -> Option<&App> {
        self.model.1.as_ref()
    }

    /// What is known of the checks.
    pub(super) fn checks(&self) -> Vec<Report> {
        self.checks.reports()
    }

    /// How often a page is pushed; `None` where none is.
    pub(super) fn push_interval(&self) -> Option<Duration> {
        self.model.0.push.as_ref().map(|push| push.interval)
    }

    /// How many pages were pushed, and how many pushes failed.
    pub(super) fn pushes(&self) -> Option<[u64; 2]> {
        self.pusher.as_ref().map(Pusher::results)
    }

    /// Pushes a page.
    pub(super) async fn push(&self, page: &str) -> Result<(), String> {
        match &self.pusher {
            Some(pusher) => pusher.push(page).await,
            None => Ok(()),
        }
    }

    /// Whether it does what these ask for.
    pub(super) fn is_for(&self, monitor: &Monitor, app: Option<&App>) -> bool {
        self.model.0 == *monitor && self.model.1.as_ref() == app
    }

    /// A reading, at most `interval` old.
    pub(super) fn read(&self) -> Reading {
        let mut observed = super::lock(&self.observed);
        let interval = self.model.0.processes.interval;
        let recent = observed
            .last
            .as_ref()
            .filter(|(at, _)| at.elapsed() < interval);
        if let Some((_, reading)) = recent {
            return reading.clone();
        }
        let reading = observed.observer.read();
        if reading.processes.is_none()
            && !observed.warned
            && self.model.0.processes.select != ProcessSelect::Listener
        {
            observed.warned = true;
            tracing::warn!(
                "monitor.process: no such process is visible; the pod needs shareProcessNamespace: true, and the app must run"
            );
        }
        observed.last = (!interval.is_zero()).then(|| (Instant::now(), reading.clone()));
        reading
    }

    /// Fetches the app's own page, unless it would be one of `own`.
    pub(super) async fn fetch(
        &self,
        format: Format,
        budget: Budget,
        own: &[SocketAddr],
    ) -> Option<Answered> {
        let scraper = self.scraper.as_ref()?;
        let target = self.model.0.scrape.as_ref()?.address;
        let began = Instant::now();
        let is_own = |own: &SocketAddr| {
            own.port() == target.port() && (own.ip().is_unspecified() || own.ip() == target.ip())
        };
        let fetched = match own.iter().any(is_own) {
            true => Err(Failure::Loop),
            false => {
                let fetched = budget
                    .within(scraper.fetch(format == Format::OpenMetrics))
                    .await;
                fetched.unwrap_or(Err(Failure::Timeout))
            }
        };
        Some(Answered {
            fetched,
            took: began.elapsed(),
        })
    }

    /// What becomes of it: the page, and what is said of it.
    pub(super) fn judge<'a>(
        &self,
        answered: Option<&'a Answered>,
    ) -> (Option<Page<'a>>, Option<Scraped>) {
        let (Some(scraper), Some(answered)) = (&self.scraper, answered) else {
            return (None, None);
        };
        let read = answered.fetched.as_ref().map_err(|failure| *failure);
        let read = read.and_then(Fetched::page);
        scraper.count(read.as_ref().map(|_| ()).map_err(|failure| *failure));
        let (page, dropped) = match read {
            Ok(mut page) => {
                let dropped = page.without(&family_names());
                (Some(page), dropped)
            }
            Err(_) => (None, 0),
        };
        let scraped = Scraped {
            results: scraper.results().collect(),
            seconds: answered.took.as_secs_f64(),
            samples: page.as_ref().map_or(0, Page::samples),
            dropped,
        };
        (page, Some(scraped))
    }
}

/// What came of a fetch.
pub(super) struct Answered {
    fetched: Result<Fetched, Failure>,
    took: Duration,
}

/// What pushed metrics are about: what the downward API of Kubernetes puts into the environment, and the service's name as SDKs of
/// OpenTelemetry read it.
fn resource() -> Vec<(&'static str, String)> {
    let variables = [
        ("service.name", "OTEL_SERVICE_NAME"),
        ("k8s.pod.name", "POD_NAME"),
        ("k8s.namespace.name", "POD_NAMESPACE"),
        ("k8s.pod.ip", "POD_IP"),
        ("k8s.node.name", "NODE_NAME"),
    ];
    variables
        .into_iter()
        .filter_map(|(key, variable)| Some((key, env::var(variable).ok()?)))
        .collect()
}
