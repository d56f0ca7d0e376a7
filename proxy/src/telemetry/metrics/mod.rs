//! Counters of this process and the page that they make, for Prometheus or in OpenMetrics. [`family`] names each metric.
//!
//! What changes with every request lives in one [`Shard`] per worker, written by that worker alone (plain load and
//! store, no locked instruction) and summed when somebody scrapes. What changes rarely is shared.

mod asked;
mod family;
mod jwks;
mod listener;
mod logs;
mod named;
mod page;
mod reading;
#[cfg(test)]
mod reference;
mod render;
mod shard;
mod upstream;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use outrigger_config::model::Config;
use outrigger_filters::{concurrency::Gate, reason::Reason};
use outrigger_logs::counters::Counters;

pub(crate) use self::{
    asked::{
        ExtAuthCounters, ExtAuthResult, MirrorCounters, MirrorResult, RedisCounters, RedisResult,
    },
    jwks::{FetchResult, JwksCounters},
    listener::{Limit, ListenerCounters},
    page::Format,
    reading::{EndpointReading, Reading},
    shard::{LocalSeries, NO_UPSTREAM, Shard},
    upstream::UpstreamCounters,
};
use self::{named::Named, shard::Merged};
use super::events::{EndpointEvent, Events, Reporter};

/// A counter for each [`Reason`].
struct Rejected([AtomicU64; Reason::ALL.len()]);

impl Default for Rejected {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// Everything counted in this process.
#[derive(Default)]
pub(crate) struct Metrics {
    shards: Mutex<Vec<Arc<Shard>>>,
    /// Of which requests are counted; `None` before a configuration was published.
    named: Mutex<Option<Named>>,
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerCounters>>>,
    upstreams: Mutex<BTreeMap<Arc<str>, Arc<UpstreamCounters>>>,
    /// Where changes of endpoints are reported.
    events: OnceLock<Events<EndpointEvent>>,
    /// Reads what upstreams say of themselves.
    readings: OnceLock<Box<dyn Fn() -> Vec<Reading> + Send + Sync>>,
    /// Listener, file and end of every certificate that is shown now.
    certificates: Mutex<Vec<(Arc<str>, String, u64)>>,
    jwks: Mutex<BTreeMap<Arc<str>, Arc<JwksCounters>>>,
    ext_auth: Mutex<BTreeMap<Arc<str>, Arc<ExtAuthCounters>>>,
    redis: OnceLock<Arc<RedisCounters>>,
    mirrors: Mutex<BTreeMap<Arc<str>, Arc<MirrorCounters>>>,
    /// The gates that requests pass now, by route.
    gates: Mutex<Vec<(Arc<str>, Arc<Gate>)>>,
    /// By [`Reason`].
    rejected: Rejected,
    /// Of the log shipper; `None` while there is none.
    logs: Mutex<Option<Arc<Counters>>>,
    /// Access-log lines lost because stdout did not take them.
    pub access_log_dropped: AtomicU64,
    /// Panics that ended a connection.
    pub panics: AtomicU64,
    /// Configurations published.
    pub generation: AtomicU64,
    /// Whether the last reload was refused.
    pub reload_failed: AtomicBool,
    /// Reloads accepted and refused.
    pub reloads: [AtomicU64; 2],
    /// Whether a drain has begun.
    pub draining: AtomicBool,
}

/// Nothing panics while it holds one of these locks; if it ever did, counters stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// A new worker's shard.
    pub(crate) fn shard(&self) -> Arc<Shard> {
        let shard = Arc::<Shard>::default();
        lock(&self.shards).push(Arc::clone(&shard));
        shard
    }

    /// Only requests of what `config` names are counted from now on. To be said before a worker has heard of `config`:
    /// a series that a worker has begun, and that is not named yet, would be lost.
    pub(crate) fn name(&self, config: &Config) {
        *lock(&self.named) = Some(Named::new(config));
    }

    /// Drops what the current configuration does not name, and what nothing counts in any more.
    fn forget(&self) {
        if let Some(named) = &*lock(&self.named) {
            for shard in lock(&self.shards).iter() {
                lock(&shard.series).retain(|one| named.has(one));
            }
        }
        // What is configured is held by its snapshot.
        fn used<K: Ord, T>(all: &Mutex<BTreeMap<K, Arc<T>>>) {
            lock(all).retain(|_, one| Arc::strong_count(one) > 1);
        }
        used(&self.listeners);
        used(&self.upstreams);
        used(&self.jwks);
        used(&self.ext_auth);
        used(&self.mirrors);
    }

    /// The counters of the log shipper are these from now on.
    pub(crate) fn show_logs(&self, counters: Option<Arc<Counters>>) {
        *lock(&self.logs) = counters;
    }

    /// The counters of the log shipper, while there is one.
    pub(crate) fn logs(&self) -> Option<Arc<Counters>> {
        lock(&self.logs).clone()
    }

    /// The counters of a listener.
    pub(crate) fn listener(&self, name: &Arc<str>) -> Arc<ListenerCounters> {
        Arc::clone(lock(&self.listeners).entry(Arc::clone(name)).or_default())
    }

    /// The counters of an upstream, which are shown from now on.
    pub(crate) fn upstream(&self, name: &Arc<str>) -> Arc<UpstreamCounters> {
        let new = || {
            let (name, events) = (Arc::clone(name), self.events.get().cloned());
            Arc::new(UpstreamCounters {
                name,
                events,
                ..UpstreamCounters::default()
            })
        };
        Arc::clone(
            lock(&self.upstreams)
                .entry(Arc::clone(name))
                .or_insert_with(new),
        )
    }

    /// Logs changes of endpoints from now on.
    pub(crate) fn endpoint_events(&self) -> Reporter<EndpointEvent> {
        let (reporter, events) = Reporter::new();
        let _ = self.events.set(events);
        reporter
    }

    /// What upstreams say of themselves is read so from now on.
    pub(crate) fn read_upstreams(&self, read: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
        let _ = self.readings.set(Box::new(read));
    }

    /// These certificates are shown from now on, each with its listener, file, and end in seconds since 1970.
    pub(crate) fn show_certificates(&self, certificates: Vec<(Arc<str>, String, u64)>) {
        *lock(&self.certificates) = certificates;
    }

    /// Requests pass these gates from now on, each with its route.
    pub(crate) fn show_gates(&self, gates: Vec<(Arc<str>, Arc<Gate>)>) {
        *lock(&self.gates) = gates;
    }

    /// The counters of a route's `extAuth`.
    pub(crate) fn ext_auth(&self, route: &Arc<str>) -> Arc<ExtAuthCounters> {
        Arc::clone(lock(&self.ext_auth).entry(Arc::clone(route)).or_default())
    }

    /// The counters of redis, which are shown from now on.
    pub(crate) fn redis(&self) -> Arc<RedisCounters> {
        Arc::clone(self.redis.get_or_init(Arc::default))
    }

    /// The counters of a route's copies.
    pub(crate) fn mirror(&self, route: &Arc<str>) -> Arc<MirrorCounters> {
        Arc::clone(lock(&self.mirrors).entry(Arc::clone(route)).or_default())
    }

    /// The counters of a token provider.
    pub(crate) fn jwks(&self, provider: &Arc<str>) -> Arc<JwksCounters> {
        Arc::clone(lock(&self.jwks).entry(Arc::clone(provider)).or_default())
    }

    /// Counts a rejected request or connection.
    pub(crate) fn reject(&self, reason: Reason) {
        self.rejected.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Configurations published so far.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// A reload ended.
    pub(crate) fn reloaded(&self, ok: bool) {
        self.reload_failed.store(!ok, Relaxed);
        self.reloads[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// By listener, route and upstream.
    fn merged(&self) -> BTreeMap<[Arc<str>; 3], Merged> {
        let mut merged = BTreeMap::<_, Merged>::new();
        for shard in lock(&self.shards).iter() {
            for series in lock(&shard.series).iter() {
                let key = [&series.listener, &series.route, &series.upstream].map(Arc::clone);
                merged.entry(key).or_default().add(series);
            }
        }
        merged
    }

    /// Refusals that were not carried out, by route and reason, over all workers and listeners.
    pub(crate) fn would_denied(&self) -> BTreeMap<(Arc<str>, Reason), u64> {
        let mut all = BTreeMap::new();
        for shard in lock(&self.shards).iter() {
            for series in lock(&shard.series).iter() {
                for one in lock(&series.would_deny).iter() {
                    let key = (Arc::clone(&series.route), one.reason);
                    *all.entry(key).or_default() += one.count.load(Relaxed);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_filters::reason::Flag;

    use super::*;

    #[test]
    fn shards_of_two_workers_are_summed_in_one_page() {
        let metrics = Metrics::default();
        let (listener, app): (Arc<str>, Arc<str>) = ("in-8000".into(), "app".into());
        for _ in 0..2 {
            let series = metrics.shard().series(&listener, &app, &app);
            series.record(200, Flag::None, Duration::from_millis(3));
            series.record(503, Flag::Uh, Duration::from_secs(20));
        }
        let page = metrics.render(Format::Prometheus);
        for line in [
            r#"outrigger_requests_total{listener="in-8000",route="app",upstream="app",status="200",flag=""} 2"#,
            r#"outrigger_requests_total{listener="in-8000",route="app",upstream="app",status="503",flag="UH"} 2"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",upstream="app",le="0.001"} 0"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",upstream="app",le="0.005"} 2"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",upstream="app",le="+Inf"} 4"#,
            r#"outrigger_request_duration_seconds_count{listener="in-8000",route="app",upstream="app"} 4"#,
            "outrigger_config_last_reload_successful 1",
        ] {
            assert!(
                page.lines().any(|one| one == line),
                "{line} is missing in\n{page}"
            );
        }
    }
}
