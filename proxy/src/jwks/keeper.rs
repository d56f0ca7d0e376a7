//! Keeps the keys of providers fresh, on the control thread: one task for each provider whose keys
//! are fetched.

use std::{sync::Arc, time::Duration};

use outrigger_config::model::{Config, JwtProvider};
use outrigger_transport::dns::Resolver;
use tokio::{select, task::JoinHandle, time::timeout};

use super::{
    cell::KeyCell,
    fetch::{self, Trust},
};
use crate::telemetry::metrics::{FetchResult, Metrics};

/// The first wait after a failure; it doubles with each consecutive failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The cells of a configuration, in its order. Cells of `old` with the same key source are carried
/// over with their keys.
pub(crate) fn cells(config: &Config, old: &[Arc<KeyCell>], metrics: &Metrics) -> Vec<Arc<KeyCell>> {
    let cell = |provider: &JwtProvider| {
        let kept = old.iter().find(|cell| cell.is_for(provider));
        kept.map_or_else(
            || Arc::new(KeyCell::new(provider, metrics.jwks(&provider.name))),
            Arc::clone,
        )
    };
    config.jwt_providers.iter().map(cell).collect()
}

/// The fetching tasks.
pub(crate) struct Keepers {
    resolver: Arc<Resolver>,
    all: Vec<Keeper>,
}

struct Keeper {
    cell: Arc<KeyCell>,
    task: JoinHandle<()>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keepers {
    /// No tasks yet; `resolver` also looks up the hosts of upstreams.
    pub(crate) fn new(resolver: &Arc<Resolver>) -> Self {
        Self {
            resolver: Arc::clone(resolver),
            all: Vec::new(),
        }
    }

    /// Starts fetching for cells that have no task yet, and waits at most `limit` until each was
    /// attempted once. Called before a configuration is published, so that the first requests have
    /// keys.
    pub(crate) async fn begin(&mut self, cells: &[Arc<KeyCell>], limit: Duration) {
        let is_new = |cell: &&Arc<KeyCell>| {
            cell.remote().is_some()
                && !self
                    .all
                    .iter()
                    .any(|keeper| Arc::ptr_eq(&keeper.cell, cell))
        };
        let new: Vec<Arc<KeyCell>> = cells.iter().filter(is_new).cloned().collect();
        self.all.extend(new.iter().map(|cell| {
            let task = tokio::spawn(keep(Arc::clone(cell), Arc::clone(&self.resolver)));
            Keeper {
                cell: Arc::clone(cell),
                task,
            }
        }));
        let _ = timeout(limit, async {
            for cell in &new {
                cell.first_fetch().await;
            }
        })
        .await;
    }

    /// Stops fetching for cells that the published configuration does not use.
    pub(crate) fn retain(&mut self, cells: &[Arc<KeyCell>]) {
        self.all
            .retain(|keeper| cells.iter().any(|cell| Arc::ptr_eq(cell, &keeper.cell)));
    }
}

/// Fetches repeatedly, for as long as the task lives.
async fn keep(cell: Arc<KeyCell>, resolver: Arc<Resolver>) {
    let Some(remote) = cell.remote() else { return };
    let mut trust = Trust::default();
    let mut failures = None; // no attempt yet
    loop {
        let number = cell.begin_fetch();
        match fetch::fetch(&cell, remote, &mut trust, &resolver).await {
            Ok(keys) => {
                cell.counters.fetched(FetchResult::Ok);
                if failures != Some(0) {
                    tracing::info!(provider = %cell.name, keys = keys.len(), "keys fetched");
                }
                failures = Some(0);
                cell.load(keys);
            }
            Err(error) => {
                cell.counters.fetched(error.result());
                tracing::warn!(provider = %cell.name, %error, "keys not fetched");
                if error.result() == FetchResult::Tls {
                    trust = Trust::default(); // the system's roots may have changed since
                }
                failures = Some(failures.unwrap_or(0) + 1);
            }
        }
        cell.end_fetch(number);
        select! {
            () = tokio::time::sleep(pause(remote.refresh, failures.unwrap_or(0))) => {}
            () = cell.fetch_requested() => {}
        }
    }
}

/// How long to wait after `failures` consecutive failures, ±10 %, so that pods do not fetch at the
/// same time.
fn pause(refresh: Duration, failures: u32) -> Duration {
    let exact = match failures {
        0 => refresh,
        _ => {
            let doubled = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10));
            doubled.min(LAST_RETRY).min(refresh.max(FIRST_RETRY))
        }
    };
    exact.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/security.md 14.
    #[test]
    fn a_failure_is_tried_again_soon_and_then_less_and_less_often() {
        let seconds = [600, 1, 2, 4, 8, 16, 32, 60, 60, 60];
        for (failures, expected) in (0..).zip(seconds) {
            for _ in 0..100 {
                let pause =
                    pause(Duration::from_secs(600), failures).as_secs_f64() / f64::from(expected);
                assert!(
                    (0.9..=1.1).contains(&pause),
                    "{failures} failures: {pause} of {expected} s"
                );
            }
        }
        assert!(pause(Duration::from_secs(600), u32::MAX) <= Duration::from_secs(66));
        assert!(
            pause(Duration::from_secs(5), 9) <= Duration::from_millis(5_500),
            "never rarer than without"
        );
    }
}
