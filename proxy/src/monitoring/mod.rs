//! The page of metrics, with what is known of the app: whether it is up, what it uses, and its own metrics.
//!
//! Everything happens on the control thread, and nothing before a page is asked for, but for active checks and pushes, which have a
//! clock of their own.

mod budget;
mod pushing;
mod readiness;
mod watch;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::HeaderMap;
use outrigger_config::model::{App, Config};
use outrigger_monitor::{checks::Report, exposition::Syntax};

use self::{budget::Budget, pushing::Pushing, readiness::Readiness, watch::Watch};
use crate::telemetry::metrics::{Format, Metrics, Monitored};

/// Answers `/readyz` and `/metrics`.
pub(crate) struct Monitoring {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    watch: Mutex<Option<Arc<Watch>>>,
    pushing: Mutex<Option<Pushing>>,
    /// The addresses of this proxy, of which no page is fetched.
    own: Mutex<Vec<SocketAddr>>,
}

/// Nothing panics while it holds one of these locks; if it ever did, readings stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitoring {
    /// Asks nothing yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            readiness: Readiness::default(),
            watch: Mutex::default(),
            pushing: Mutex::default(),
            own: Mutex::default(),
        }
    }

    /// Whether the app is ready; the reason when not.
    pub(crate) async fn ready(&self, app: &App) -> Result<(), String> {
        let answer = self.readiness.check(app).await;
        self.metrics.app.observe(answer.is_ok(), SystemTime::now());
        answer
    }

    /// Does what this configuration asks for from now on. What was counted for an equal one goes on. `own` are the addresses of this
    /// proxy.
    pub(crate) fn follow(self: &Arc<Self>, config: &Config, own: Vec<SocketAddr>) {
        *lock(&self.own) = own;
        let app = config.app.as_ref();
        let mut watch = lock(&self.watch);
        let Some(monitor) = &config.monitor else {
            *watch = None;
            *lock(&self.pushing) = None;
            return;
        };
        if watch
            .as_ref()
            .is_some_and(|watch| watch.is_for(monitor, app))
        {
            return;
        }
        let new = Arc::new(Watch::new(monitor, app));
        *lock(&self.pushing) = Pushing::start(self, &new);
        *watch = Some(new);
    }

    /// What is known of the checks, for `/status`.
    pub(crate) fn checks(&self) -> Vec<Report> {
        let watch = lock(&self.watch).clone();
        watch.map(|watch| watch.checks()).unwrap_or_default()
    }

    /// The page in the format that the request prefers, within the time that its sender waits.
    pub(crate) async fn page(&self, app: Option<&App>, headers: &HeaderMap) -> (Format, String) {
        let budget = Budget::of(headers);
        let format = Format::accepted(headers);
        let watch = lock(&self.watch).clone();
        let own = lock(&self.own).clone();
        let fetch = async {
            match &watch {
                Some(watch) => watch.fetch(format, budget, &own).await,
                None => None,
            }
        };
        let (answered, ()) = tokio::join!(fetch, self.look(app, budget));
        let (page, scraped) = match &watch {
            Some(watch) => watch.judge(answered.as_ref()),
            None => (None, None),
        };
        // A page has one format: where the app has only text, all of it is text.
        let format = match &page {
            Some(page) if page.syntax == Syntax::Text => Format::Prometheus,
            _ => format,
        };
        let monitored = Monitored {
            reading: watch.as_ref().map(|watch| watch.read()).unwrap_or_default(),
            scraped,
            checks: watch
                .as_ref()
                .map(|watch| watch.checks())
                .unwrap_or_default(),
            pushes: watch.and_then(|watch| watch.pushes()),
        };
        let rendered = self.metrics.render(format, &monitored, page.as_ref());
        (format, rendered)
    }

    /// Asks whether the app is up. No answer in time is an answer.
    async fn look(&self, app: Option<&App>, budget: Budget) {
        match app {
            Some(app) => {
                if budget.within(self.ready(app)).await.is_none() {
                    self.metrics.app.observe(false, SystemTime::now());
                }
            }
            None => self.metrics.app.forget(),
        }
    }
}
