//! Counters of this process, and the page for Prometheus or OpenMetrics. [`family`] names each
//! metric.
//!
//! Counters that change with every request are in one [`Shard`] per worker, written by that worker
//! only (plain load and store, no locked instruction), and summed at a scrape. Counters that change
//! rarely are shared.

mod app;
mod external;
mod family;
mod jwks;
mod listener;
mod logs;
mod monitor;
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
    app::AppUp,
    external::{
        ExtAuthCounters, ExtAuthResult, MirrorCounters, MirrorResult, RedisCounters, RedisResult,
    },
    jwks::{FetchResult, JwksCounters},
    listener::{Limit, ListenerCounters},
    monitor::{Monitored, Scraped},
    page::Format,
    reading::{EndpointReading, Reading},
    shard::{LocalSeries, NO_UPSTREAM, Shard},
    upstream::UpstreamCounters,
};
use self::{named::Named, shard::Merged};
use super::events::{EndpointEvent, Events, Reporter};

struct Rejected([AtomicU64; Reason::ALL.len()]);

impl Default for Rejected {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// All counters of this process.
#[derive(Default)]
pub(crate) struct Metrics {
    shards: Mutex<Vec<Arc<Shard>>>,
    /// The names whose requests are counted; `None` before a configuration was published.
    named: Mutex<Option<Named>>,
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerCounters>>>,
    upstreams: Mutex<BTreeMap<Arc<str>, Arc<UpstreamCounters>>>,
    /// The queue for changes of endpoints.
    events: OnceLock<Events<EndpointEvent>>,
    /// Reads the current state of upstreams.
    readings: OnceLock<Box<dyn Fn() -> Vec<Reading> + Send + Sync>>,
    /// Listener, file and expiry of every current server certificate.
    certificates: Mutex<Vec<(Arc<str>, String, u64)>>,
    jwks: Mutex<BTreeMap<Arc<str>, Arc<JwksCounters>>>,
    ext_auth: Mutex<BTreeMap<Arc<str>, Arc<ExtAuthCounters>>>,
    redis: OnceLock<Arc<RedisCounters>>,
    mirrors: Mutex<BTreeMap<Arc<str>, Arc<MirrorCounters>>>,
    /// The current gates (concurrency limits), by route.
    gates: Mutex<Vec<(Arc<str>, Arc<Gate>)>>,
    /// By [`Reason`].
    rejected: Rejected,
    /// Of the log shipper; `None` while there is none.
    logs: Mutex<Option<Arc<Counters>>>,
    /// Access-log lines lost because stdout did not accept them.
    pub access_log_dropped: AtomicU64,
    /// Panics that closed a connection.
    pub panics: AtomicU64,
    /// Published configurations.
    pub generation: AtomicU64,
    /// Whether the last reload was rejected.
    pub reload_failed: AtomicBool,
    /// Accepted and rejected reloads.
    pub reloads: [AtomicU64; 2],
    /// Whether a drain has begun.
    pub draining: AtomicBool,
    /// What is known of the app.
    pub app: AppUp,
}

/// The names of all families.
pub(crate) fn family_names() -> Vec<&'static str> {
    family::ALL.iter().map(|(about, _)| about.name).collect()
}

/// Ignores poisoning. Nothing panics while it holds one of these locks; if it ever did, the
/// counters stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Creates a worker's shard.
    pub(crate) fn shard(&self) -> Arc<Shard> {
        let shard = Arc::<Shard>::default();
        lock(&self.shards).push(Arc::clone(&shard));
        shard
    }

    /// From now on, counts only requests of names in `config`. Must be called before a worker uses
    /// `config`: a series that a worker has created for a name that is not listed yet would be
    /// lost.
    pub(crate) fn name(&self, config: &Config) {
        *lock(&self.named) = Some(Named::new(config));
    }

    /// Drops series that the current configuration does not name and that have no writer any more.
    fn forget(&self) {
        if let Some(named) = &*lock(&self.named) {
            for shard in lock(&self.shards).iter() {
                lock(&shard.series).retain(|one| named.has(one));
            }
        }
        // The snapshot holds what is configured, so other entries have no second owner.
        fn used<K: Ord, T>(all: &Mutex<BTreeMap<K, Arc<T>>>) {
            lock(all).retain(|_, one| Arc::strong_count(one) > 1);
        }
        used(&self.listeners);
        used(&self.upstreams);
        used(&self.jwks);
        used(&self.ext_auth);
        used(&self.mirrors);
    }

    /// Sets the counters of the log shipper.
    pub(crate) fn show_logs(&self, counters: Option<Arc<Counters>>) {
        *lock(&self.logs) = counters;
    }

    /// The counters of the log shipper, while there is one.
    pub(crate) fn logs(&self) -> Option<Arc<Counters>> {
        lock(&self.logs).clone()
    }

    pub(crate) fn listener(&self, name: &Arc<str>) -> Arc<ListenerCounters> {
        Arc::clone(lock(&self.listeners).entry(Arc::clone(name)).or_default())
    }

    /// The counters of an upstream, which are rendered from now on.
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

    /// The reporter of changes of endpoints.
    pub(crate) fn endpoint_events(&self) -> Reporter<EndpointEvent> {
        let (reporter, events) = Reporter::new();
        let _ = self.events.set(events);
        reporter
    }

    /// Sets the function that reads the current state of upstreams.
    pub(crate) fn set_upstream_reader(
        &self,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        let _ = self.readings.set(Box::new(read));
    }

    /// Sets the current server certificates: listener, file, and expiry in seconds since 1970.
    pub(crate) fn set_certificates(&self, certificates: Vec<(Arc<str>, String, u64)>) {
        *lock(&self.certificates) = certificates;
    }

    /// Sets the current gates, each with its route.
    pub(crate) fn set_gates(&self, gates: Vec<(Arc<str>, Arc<Gate>)>) {
        *lock(&self.gates) = gates;
    }

    /// The counters of a route's `extAuth`.
    pub(crate) fn ext_auth(&self, route: &Arc<str>) -> Arc<ExtAuthCounters> {
        Arc::clone(lock(&self.ext_auth).entry(Arc::clone(route)).or_default())
    }

    /// The counters of Redis, which are rendered from now on.
    pub(crate) fn redis(&self) -> Arc<RedisCounters> {
        Arc::clone(self.redis.get_or_init(Arc::default))
    }

    /// The counters of a route's mirrored requests.
    pub(crate) fn mirror(&self, route: &Arc<str>) -> Arc<MirrorCounters> {
        Arc::clone(lock(&self.mirrors).entry(Arc::clone(route)).or_default())
    }

    pub(crate) fn jwks(&self, provider: &Arc<str>) -> Arc<JwksCounters> {
        Arc::clone(lock(&self.jwks).entry(Arc::clone(provider)).or_default())
    }

    /// Counts a rejected request or connection.
    pub(crate) fn reject(&self, reason: Reason) {
        self.rejected.0[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Counts a reload.
    pub(crate) fn reloaded(&self, ok: bool) {
        self.reload_failed.store(!ok, Relaxed);
        self.reloads[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// Sums by listener, route and upstream.
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

    /// Rejections in report mode, which were not enforced, by route and reason, of all workers and
    /// listeners.
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
        let page = metrics.render(Format::Prometheus, &Monitored::default(), None);
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
