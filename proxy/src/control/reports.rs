//! Logs what `mode: report` let through: for each route and reason at most one line every ten
//! seconds, whatever the traffic. Workers only count; they write no log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use outrigger_config::model::{Config, Mode};
use outrigger_filters::reason::Reason;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::telemetry::metrics::Metrics;

/// Shortest interval between two lines of a kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts that were logged so far. Causes no wake-ups while no route has `mode: report`.
#[derive(Default)]
pub(super) struct Reports {
    logged: BTreeMap<(Arc<str>, Reason), u64>,
    tick: Option<Interval>,
}

impl Reports {
    /// Reports on `config` from now on.
    pub(super) fn watch(&mut self, config: &Config) {
        let limits = config
            .rate_limits
            .iter()
            .any(|limit| limit.mode == Mode::Report);
        let routes = config.routes.iter().any(|route| {
            route.auth.mode == Mode::Report
                || route
                    .authorize
                    .as_ref()
                    .is_some_and(|rules| rules.mode == Mode::Report)
        });
        self.tick = (limits || routes).then(|| {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        });
    }

    /// Waits until a line is due; for ever when no route has `mode: report`.
    pub(super) async fn next(&mut self) {
        match &mut self.tick {
            Some(tick) => drop(tick.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Logs what was counted since the last line.
    pub(super) fn log(&mut self, metrics: &Metrics) {
        for (key, count) in metrics.would_denied() {
            let logged = self.logged.entry(key.clone()).or_default();
            // The counter of a route that was removed for a while starts again.
            *logged = (*logged).min(count);
            if count > *logged {
                let (route, reason) = (&key.0, key.1.as_str());
                tracing::info!(%route, %reason, requests = count - *logged, "let through by mode: report");
                *logged = count;
            }
        }
    }
}
