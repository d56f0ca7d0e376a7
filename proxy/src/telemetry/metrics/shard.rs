//! Counters that change with every request: the series of each worker.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_filters::reason::{Flag, Reason};

use super::{family::DURATION_BUCKETS, lock};

/// The label `upstream` of requests that the proxy responded to without choosing one. No upstream
/// may have this name.
pub(crate) const NO_UPSTREAM: &str = "none";

#[derive(Default)]
pub(crate) struct Shard {
    pub(super) series: Mutex<Vec<Arc<Series>>>,
}

/// Requests of one listener, route and upstream, in one shard.
pub(super) struct Series {
    pub(super) listener: Arc<str>,
    pub(super) route: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) outcomes: Mutex<Vec<Arc<Outcome>>>,
    pub(super) would_deny: Mutex<Vec<Arc<WouldDeny>>>,
    pub(super) buckets: [AtomicU64; DURATION_BUCKETS.len() + 1],
    pub(super) micros: AtomicU64,
}

pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) flag: Flag,
    pub(super) count: AtomicU64,
}

pub(super) struct WouldDeny {
    pub(super) reason: Reason,
    pub(super) count: AtomicU64,
}

/// A worker's handle on one series; it caches the outcomes that occurred.
pub(crate) struct LocalSeries {
    series: Arc<Series>,
    known: RefCell<Vec<Arc<Outcome>>>,
    would_deny: RefCell<Vec<Arc<WouldDeny>>>,
}

impl Shard {
    /// The series of this listener, route and upstream.
    pub(crate) fn series(
        &self,
        listener: &Arc<str>,
        route: &Arc<str>,
        upstream: &Arc<str>,
    ) -> LocalSeries {
        let mut all = lock(&self.series);
        let is_it = |one: &&Arc<Series>| {
            one.listener == *listener && one.route == *route && one.upstream == *upstream
        };
        let found = all.iter().find(is_it).cloned();
        let series = found.unwrap_or_else(|| {
            let new = Arc::new(Series {
                listener: Arc::clone(listener),
                route: Arc::clone(route),
                upstream: Arc::clone(upstream),
                outcomes: Mutex::default(),
                would_deny: Mutex::default(),
                buckets: Default::default(),
                micros: AtomicU64::new(0),
            });
            all.push(Arc::clone(&new));
            new
        });
        let known = RefCell::new(lock(&series.outcomes).clone());
        let would_deny = RefCell::new(lock(&series.would_deny).clone());
        LocalSeries {
            series,
            known,
            would_deny,
        }
    }
}

impl LocalSeries {
    /// Counts one request that got a response.
    pub(crate) fn record(&self, status: u16, flag: Flag, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BUCKETS.partition_point(|&bound| bound < seconds);
        bump(&self.series.buckets[bucket], 1);
        bump(&self.series.micros, took.as_micros() as u64);
        let mut known = self.known.borrow_mut();
        let outcome = match known
            .iter()
            .find(|one| one.status == status && one.flag == flag)
        {
            Some(outcome) => outcome,
            None => {
                let new = Arc::new(Outcome {
                    status,
                    flag,
                    count: AtomicU64::new(0),
                });
                lock(&self.series.outcomes).push(Arc::clone(&new));
                known.push(new);
                &known[known.len() - 1]
            }
        };
        bump(&outcome.count, 1);
    }

    /// Counts one rejection in report mode, which was not enforced.
    pub(crate) fn would_deny(&self, reason: Reason) {
        let mut known = self.would_deny.borrow_mut();
        let one = match known.iter().find(|one| one.reason == reason) {
            Some(one) => one,
            None => {
                let new = Arc::new(WouldDeny {
                    reason,
                    count: AtomicU64::new(0),
                });
                lock(&self.series.would_deny).push(Arc::clone(&new));
                known.push(new);
                &known[known.len() - 1]
            }
        };
        bump(&one.count, 1);
    }
}

/// Increments a counter that has only one writer.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// One series, summed over all workers.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) outcomes: BTreeMap<(String, &'static str), u64>,
    pub(super) buckets: [u64; DURATION_BUCKETS.len() + 1],
    pub(super) micros: u64,
}

impl Merged {
    pub(super) fn add(&mut self, series: &Series) {
        for outcome in lock(&series.outcomes).iter() {
            let key = (outcome.status.to_string(), outcome.flag.as_str());
            *self.outcomes.entry(key).or_default() += outcome.count.load(Relaxed);
        }
        for (sum, bucket) in self.buckets.iter_mut().zip(&series.buckets) {
            *sum += bucket.load(Relaxed);
        }
        self.micros += series.micros.load(Relaxed);
    }
}
