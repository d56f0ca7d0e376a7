//! Reload: when the configuration file or a file that it names has changed, or on request.
//!
//! A new configuration is loaded and checked, its new listeners are bound, and its new names are
//! looked up. Only then it is published, as a whole. If any step fails, the old configuration stays
//! in use, and log, metric and admin server report the error.

use std::{sync::Arc, time::Duration};

use outrigger_config::{LoadError, Loaded, ProcessEnvironment, Reloader, Watcher, diff, model};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Control, FIRST_KEYS, FIRST_LOOKUP, StartError, build, warn};
use crate::serve::Command;

/// Decides when to check the files again.
pub(super) struct Changes {
    noticed: Arc<Notify>,
    watcher: Option<Watcher>,
    debounce: Duration,
    poll: Option<Duration>,
    next_poll: Option<Instant>,
    /// End of the window that the first event opened. Kept here, since the control loop drops
    /// [`Changes::next`] whenever another event comes first.
    window: Option<Instant>,
    has_file: bool,
}

impl Changes {
    pub(super) fn watch(reloader: Option<&Reloader>, settings: &model::Reload) -> Self {
        let noticed = Arc::<Notify>::default();
        let watcher = reloader.filter(|_| settings.watch).and_then(|reloader| {
            // Changes between the load and the start of the watch have no event.
            noticed.notify_one();
            let noticed = Arc::clone(&noticed);
            let watcher = Watcher::start([reloader.source().path()], move || noticed.notify_one());
            watcher
                .inspect_err(|error| tracing::warn!(%error, "cannot watch the file; polling only"))
                .ok()
        });
        let next_poll = settings.poll.map(|poll| Instant::now() + poll);
        let changes = Self {
            noticed,
            watcher,
            debounce: settings.debounce,
            poll: settings.poll,
            next_poll,
            window: None,
            has_file: reloader.is_some(),
        };
        // Separate from the main file: a failure to watch these files must not leave the main file
        // unwatched.
        reloader.inspect(|reloader| changes.follow(reloader));
        changes
    }

    /// Watches the files of the last load, also when that configuration was rejected: it may name
    /// other files.
    fn follow(&self, reloader: &Reloader) {
        let followed = self
            .watcher
            .as_ref()
            .map_or(Ok(()), |watcher| watcher.set(reloader.files()));
        if let Err(error) = followed {
            tracing::warn!(%error, "cannot watch every file that the configuration names; polling instead");
        }
    }

    /// Waits until a check is due: a fixed window after the first event, or the poll interval.
    /// Cancel safe.
    pub(super) async fn next(&mut self) {
        if !self.has_file {
            return std::future::pending().await;
        }
        if self.window.is_none() {
            tokio::select! {
                () = self.noticed.notified() => self.window = Some(Instant::now() + self.debounce),
                () = reached(self.next_poll) => {}
            }
        }
        if self.window.is_some() {
            reached(self.window).await;
        }
        self.window = None;
        self.next_poll = self.poll.map(|poll| Instant::now() + poll);
    }
}

/// Waits for that time; for ever when there is none.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Control {
    /// Checks the file; `force` loads it even when its content is unchanged.
    ///
    /// # Errors
    /// Why the old configuration stays in use; it is logged and counted already.
    pub(super) async fn reload(&mut self, force: bool) -> Result<(), String> {
        let Some(reloader) = &mut self.reloader else {
            let error = "there is no configuration file to reload";
            tracing::warn!("{error}");
            return Err(error.to_owned());
        };
        let loaded = match force {
            true => reloader.always(&ProcessEnvironment).map(Some),
            false => reloader.if_changed(&ProcessEnvironment),
        };
        self.changes.follow(reloader);
        let applied = match loaded {
            Ok(None) => return Ok(()),
            Ok(Some(loaded)) => self.apply(loaded).await.map_err(|error| error.to_string()),
            Err(error) => Err(explain(&error)),
        };
        self.shared.metrics.reloaded(applied.is_ok());
        applied.inspect_err(|error| {
            tracing::error!("configuration not reloaded, the old one stays in use: {error}");
            self.shared.refused(error.clone());
        })
    }

    async fn apply(&mut self, loaded: Loaded) -> Result<(), StartError> {
        warn(&loaded);
        let old = self.config();
        let config = Arc::new(loaded.config);
        let changes = diff(&old, &config);
        let snapshot = build(
            &config,
            Some(&self.cell.load()),
            &self.shared.metrics,
            &self.tls_events,
        )?;
        let listeners = self.listeners.prepare(&config)?;
        if old.logs != config.logs {
            self.configure_logs(&config).await?;
        }
        tokio::join!(
            self.lookups.begin(snapshot.names(), FIRST_LOOKUP),
            self.keepers.begin(&snapshot.keys, FIRST_KEYS)
        );
        self.lookups.retain(&snapshot.names());
        self.keepers.retain(&snapshot.keys);
        self.health_checks.follow(&snapshot.upstreams);
        self.reports.watch(&config);
        self.shared.metrics.name(&config);
        self.cell.store(Arc::new(snapshot));
        self.listeners
            .publish(listeners, &self.workers, &self.shared)
            .await;
        for worker in &self.workers {
            worker.send(Command::Refresh).await;
        }
        if old.reload != config.reload {
            self.changes = Changes::watch(self.reloader.as_ref(), &config.reload);
        }
        self.report_published();
        tracing::info!(
            generation = self.shared.metrics.generation(),
            "configuration reloaded: {changes}"
        );
        self.note_restarts();
        Ok(())
    }

    /// The last step that may fail: it takes effect at once.
    async fn configure_logs(&mut self, config: &model::Config) -> Result<(), StartError> {
        let limit = config.lifecycle.log_flush_timeout;
        let counters = self.shared.metrics.logs().unwrap_or_default();
        let logs = config.logs.as_ref();
        self.logs.configure(logs, &counters, limit).await?;
        let shown = logs.is_some().then_some(counters);
        self.shared.metrics.show_logs(shown);
        Ok(())
    }

    /// Keys that only a restart changes are compared with what the process started with.
    fn note_restarts(&self) {
        let keys = diff(&self.started_with, &self.config()).needs_restart;
        if !keys.is_empty() {
            tracing::warn!("these changes need a restart: {}", keys.join(", "));
        }
        self.shared.wait_for_restart(keys);
    }
}

fn explain(error: &LoadError) -> String {
    match error {
        LoadError::Rejected { .. } => format!("{error}\n{}", error.render(false)),
        LoadError::Unreadable { .. } => error.to_string(),
    }
}
