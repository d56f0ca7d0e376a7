//! Counters of this process and the Prometheus text they make.
//!
//! What changes with every request lives in one [`Shard`] per worker, written by that worker alone (plain load and
//! store, no locked instruction) and summed when somebody scrapes. What changes rarely is shared.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use outrigger_filters::{concurrency::Gate, error::Flag, retry::Reason};

use super::{
    handshakes::{HandshakeCounters, ServerFailure},
    names,
    notes::{Note, Notes, Reading, Teller},
};

/// Everything counted in this process.
#[derive(Default)]
pub(crate) struct Metrics {
    shards: Mutex<Vec<Arc<Shard>>>,
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerCounters>>>,
    upstreams: Mutex<BTreeMap<Arc<str>, Arc<UpstreamCounters>>>,
    /// Where notes about endpoints go.
    notes: OnceLock<Notes>,
    /// Reads what upstreams say of themselves.
    readings: OnceLock<Box<dyn Fn() -> Vec<Reading> + Send + Sync>>,
    /// Listener, file and end of every certificate that is shown now.
    certificates: Mutex<Vec<(Arc<str>, String, u64)>>,
    jwks: Mutex<BTreeMap<Arc<str>, Arc<JwksCounters>>>,
    ext_auth: Mutex<BTreeMap<Arc<str>, Arc<ExtAuthCounters>>>,
    redis: Arc<RedisCounters>,
    mirrors: Mutex<BTreeMap<Arc<str>, Arc<MirrorCounters>>>,
    /// The gates that requests pass now, by route.
    gates: Mutex<Vec<(Arc<str>, Arc<Gate>)>>,
    rejected: Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>,
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

/// The series of one worker.
#[derive(Default)]
pub(crate) struct Shard {
    series: Mutex<Vec<Arc<Series>>>,
}

/// Requests of one listener and route, in one shard.
struct Series {
    listener: Arc<str>,
    route: Arc<str>,
    outcomes: Mutex<Vec<Arc<Outcome>>>,
    would_deny: Mutex<Vec<Arc<WouldDeny>>>,
    buckets: [AtomicU64; names::DURATION_BUCKETS.len() + 1],
    micros: AtomicU64,
}

struct Outcome {
    status: u16,
    flag: Flag,
    count: AtomicU64,
}

struct WouldDeny {
    reason: &'static str,
    count: AtomicU64,
}

/// A worker's handle on one series; it remembers the outcomes it has seen.
pub(crate) struct LocalSeries {
    series: Arc<Series>,
    known: RefCell<Vec<Arc<Outcome>>>,
    would_deny: RefCell<Vec<Arc<WouldDeny>>>,
}

/// Connections of one listener, over all workers.
#[derive(Default)]
pub(crate) struct ListenerCounters {
    /// Open now.
    pub open: AtomicI64,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// TLS handshakes.
    pub handshakes: HandshakeCounters,
    /// Live connections that a change of trust ended.
    pub distrusted: AtomicU64,
    /// Times that a worker waited with the next one, because there were too many.
    pub waits: AtomicU64,
}

/// What happens between us and one upstream, over all workers; written when connections change.
#[derive(Default)]
pub(crate) struct UpstreamCounters {
    /// TLS handshakes with its endpoints.
    pub handshakes: HandshakeCounters<ServerFailure>,
    name: Arc<str>,
    notes: Option<Notes>,
    connects: [AtomicU64; 2],
    retries: [AtomicU64; Reason::ALL.len()],
    budget_exhausted: AtomicU64,
    hedges: [AtomicU64; 2],
    ejections: AtomicU64,
    overflows: [AtomicU64; 2],
    health_checks: [AtomicU64; 2],
    lookups: [AtomicU64; LookupResult::ALL.len()],
}

/// What the service of one route's `extAuth` decided.
#[derive(Default)]
pub(crate) struct ExtAuthCounters([AtomicU64; ExtAuthResult::ALL.len()]);

/// How a question to such a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtAuthResult {
    /// The request goes on.
    Allowed,
    /// The service's answer is the client's.
    Denied,
    /// There was no answer.
    Failed,
}

impl ExtAuthResult {
    const ALL: [(Self, &str); 3] =
        [(Self::Allowed, "allowed"), (Self::Denied, "denied"), (Self::Failed, "failed")];
}

impl ExtAuthCounters {
    /// A question ended.
    pub(crate) fn asked(&self, result: ExtAuthResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// What came of asking redis.
#[derive(Default)]
pub(crate) struct RedisCounters([AtomicU64; RedisResult::ALL.len()]);

/// How a question to redis ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisResult {
    /// With an answer.
    Ok,
    /// With an error, or the connection broke.
    Failed,
    /// Not in time.
    Timeout,
    /// Before it was asked: redis could not be reached a moment ago.
    Unavailable,
}

impl RedisResult {
    const ALL: [(Self, &str); 4] = [
        (Self::Ok, "ok"),
        (Self::Failed, "failed"),
        (Self::Timeout, "timeout"),
        (Self::Unavailable, "unavailable"),
    ];
}

impl RedisCounters {
    /// A question ended.
    pub(crate) fn asked(&self, result: RedisResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// What came of the copies of one route's requests.
#[derive(Default)]
pub(crate) struct MirrorCounters([AtomicU64; MirrorResult::ALL.len()]);

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MirrorResult {
    /// With an answer, whatever it was.
    Answered,
    /// Without one.
    Failed,
    /// Not made: too many were under way.
    Dropped,
    /// Not made: its body is too long.
    TooLarge,
}

impl MirrorResult {
    const ALL: [(Self, &str); 4] = [
        (Self::Answered, "answered"),
        (Self::Failed, "failed"),
        (Self::Dropped, "dropped"),
        (Self::TooLarge, "too_large"),
    ];
}

impl MirrorCounters {
    /// A copy ended.
    pub(crate) fn ended(&self, result: MirrorResult) {
        self.0[result as usize].fetch_add(1, Relaxed);
    }
}

/// The keys of one token provider, and what came of fetching them.
#[derive(Default)]
pub(crate) struct JwksCounters {
    fetches: [AtomicU64; FetchResult::ALL.len()],
    keys: AtomicU64,
    /// Seconds since the epoch; 0 before keys were ever loaded.
    loaded: AtomicU64,
}

/// How a fetch of keys ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is explained by its error
pub(crate) enum FetchResult {
    Ok,
    Credentials,
    Connect,
    Tls,
    Timeout,
    Status,
    Redirect,
    TooLarge,
    Protocol,
    Discovery,
    Keys,
}

impl FetchResult {
    const ALL: [(Self, &str); 11] = [
        (Self::Ok, "ok"),
        (Self::Credentials, "credentials"),
        (Self::Connect, "connect"),
        (Self::Tls, "tls"),
        (Self::Timeout, "timeout"),
        (Self::Status, "status"),
        (Self::Redirect, "redirect"),
        (Self::TooLarge, "too_large"),
        (Self::Protocol, "protocol"),
        (Self::Discovery, "discovery"),
        (Self::Keys, "keys"),
    ];
}

impl JwksCounters {
    /// A fetch ended.
    pub(crate) fn fetched(&self, result: FetchResult) {
        self.fetches[result as usize].fetch_add(1, Relaxed);
    }

    /// There are new keys, so many.
    pub(crate) fn loaded(&self, keys: usize) {
        self.keys.store(keys as u64, Relaxed);
        self.loaded.store(now(), Relaxed);
    }
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How a lookup of a name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupResult {
    /// With addresses.
    Ok,
    /// There is no such name, or it has none.
    NotFound,
    /// Nobody answered.
    Timeout,
    /// Servers failed or cannot be understood.
    Failed,
}

impl LookupResult {
    const ALL: [(Self, &str); 4] = [
        (Self::Ok, "ok"),
        (Self::NotFound, "not_found"),
        (Self::Timeout, "timeout"),
        (Self::Failed, "failed"),
    ];
}

impl UpstreamCounters {
    /// A lookup ended.
    pub(crate) fn looked_up(&self, result: LookupResult) {
        self.lookups[result as usize].fetch_add(1, Relaxed);
    }

    /// Lookups that ended so.
    #[cfg(test)]
    pub(crate) fn lookups(&self, result: LookupResult) -> u64 {
        self.lookups[result as usize].load(Relaxed)
    }

    /// A connect ended.
    pub(crate) fn connected(&self, ok: bool) {
        self.connects[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// A request goes out once more.
    pub(crate) fn retried(&self, reason: Reason) {
        self.retries[reason as usize].fetch_add(1, Relaxed);
    }

    /// A request would have gone out once more, but for the budget.
    pub(crate) fn budget_exhausted(&self) {
        self.budget_exhausted.fetch_add(1, Relaxed);
    }

    /// A second try beside the first ended.
    pub(crate) fn hedged(&self, won: bool) {
        self.hedges[usize::from(!won)].fetch_add(1, Relaxed);
    }

    /// A request was refused because too many are under way, or because too many wait for a connection.
    pub(crate) fn overflowed(&self, waits: bool) {
        self.overflows[usize::from(waits)].fetch_add(1, Relaxed);
    }

    /// An endpoint was asked whether it is well.
    pub(crate) fn health_checked(&self, ok: bool) {
        self.health_checks[usize::from(!ok)].fetch_add(1, Relaxed);
    }

    /// An endpoint was ejected.
    pub(crate) fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Has the log tell what became of an endpoint, and why.
    pub(crate) fn note(&self, endpoint: &Arc<str>, text: String) {
        if let Some(notes) = &self.notes {
            notes.leave(Note { upstream: Arc::clone(&self.name), endpoint: Arc::clone(endpoint), text });
        }
    }
}

impl Shard {
    /// The series of this listener and route.
    pub(crate) fn series(&self, listener: &Arc<str>, route: &Arc<str>) -> LocalSeries {
        let mut all = lock(&self.series);
        let found = all.iter().find(|one| one.listener == *listener && one.route == *route).cloned();
        let series = found.unwrap_or_else(|| {
            let new = Arc::new(Series {
                listener: Arc::clone(listener),
                route: Arc::clone(route),
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
        LocalSeries { series, known, would_deny }
    }
}

impl LocalSeries {
    /// Counts one answered request.
    pub(crate) fn record(&self, status: u16, flag: Flag, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = names::DURATION_BUCKETS.partition_point(|&bound| bound < seconds);
        bump(&self.series.buckets[bucket], 1);
        bump(&self.series.micros, took.as_micros() as u64);
        let mut known = self.known.borrow_mut();
        let outcome = match known.iter().find(|one| one.status == status && one.flag == flag) {
            Some(outcome) => outcome,
            None => {
                let new = Arc::new(Outcome { status, flag, count: AtomicU64::new(0) });
                lock(&self.series.outcomes).push(Arc::clone(&new));
                known.push(new);
                &known[known.len() - 1]
            }
        };
        bump(&outcome.count, 1);
    }
}

impl LocalSeries {
    /// Counts one refusal that was not carried out.
    pub(crate) fn would_deny(&self, reason: &'static str) {
        let mut known = self.would_deny.borrow_mut();
        let one = match known.iter().find(|one| one.reason == reason) {
            Some(one) => one,
            None => {
                let new = Arc::new(WouldDeny { reason, count: AtomicU64::new(0) });
                lock(&self.series.would_deny).push(Arc::clone(&new));
                known.push(new);
                &known[known.len() - 1]
            }
        };
        bump(&one.count, 1);
    }
}

/// An increment by the only writer.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
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

    /// The counters of a listener.
    pub(crate) fn listener(&self, name: &Arc<str>) -> Arc<ListenerCounters> {
        Arc::clone(lock(&self.listeners).entry(Arc::clone(name)).or_default())
    }

    /// The counters of an upstream.
    pub(crate) fn upstream(&self, name: &Arc<str>) -> Arc<UpstreamCounters> {
        let new = || {
            let (name, notes) = (Arc::clone(name), self.notes.get().cloned());
            Arc::new(UpstreamCounters { name, notes, ..UpstreamCounters::default() })
        };
        Arc::clone(lock(&self.upstreams).entry(Arc::clone(name)).or_insert_with(new))
    }

    /// Who tells what is noted about endpoints from now on.
    pub(crate) fn take_notes(&self) -> Teller {
        let (teller, notes) = Teller::new();
        let _ = self.notes.set(notes);
        teller
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

    /// The counters of redis.
    pub(crate) fn redis(&self) -> Arc<RedisCounters> {
        Arc::clone(&self.redis)
    }

    /// The counters of a route's copies.
    pub(crate) fn mirror(&self, route: &Arc<str>) -> Arc<MirrorCounters> {
        Arc::clone(lock(&self.mirrors).entry(Arc::clone(route)).or_default())
    }

    /// The counters of a token provider.
    pub(crate) fn jwks(&self, provider: &Arc<str>) -> Arc<JwksCounters> {
        Arc::clone(lock(&self.jwks).entry(Arc::clone(provider)).or_default())
    }

    /// Counts a refusal; `reason` comes from a closed set.
    pub(crate) fn reject(&self, reason: &'static str) {
        lock(&self.rejected).entry(reason).or_default().fetch_add(1, Relaxed);
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

    /// The Prometheus text, format 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut page = Page(String::with_capacity(8 * 1024));
        self.render_requests(&mut page);
        self.render_connections(&mut page);
        self.render_jwks(&mut page);
        self.render_process(&mut page);
        page.0
    }

    fn render_requests(&self, page: &mut Page) {
        let merged = self.merged();
        page.head(names::REQUESTS, "counter", "Requests answered, also by the proxy itself.");
        for ((listener, route), series) in &merged {
            for ((status, flag), count) in &series.outcomes {
                let labels =
                    [("listener", &**listener), ("route", route), ("status", status), ("flag", flag)];
                page.sample(names::REQUESTS, &labels, count);
            }
        }
        page.head(names::REQUEST_DURATION, "histogram", "Seconds from the request head to the last byte.");
        for ((listener, route), series) in &merged {
            page.histogram(listener, route, series);
        }
        page.head(names::WOULD_DENY, "counter", "Requests that a report mode let through.");
        for ((route, reason), count) in self.would_denied() {
            page.sample(names::WOULD_DENY, &[("route", &route), ("reason", reason)], count);
        }
        page.head(names::EXT_AUTH, "counter", "Questions to the service of extAuth.");
        for (route, one) in lock(&self.ext_auth).iter() {
            for ((_, result), count) in ExtAuthResult::ALL.iter().zip(&one.0) {
                let labels = [("route", &**route), ("result", result)];
                page.sample(names::EXT_AUTH, &labels, count.load(Relaxed));
            }
        }
        page.head(names::REDIS, "counter", "Questions to redis.");
        for ((_, result), count) in RedisResult::ALL.iter().zip(&self.redis.0) {
            page.sample(names::REDIS, &[("result", result)], count.load(Relaxed));
        }
        page.head(names::MIRRORED, "counter", "Copies of requests.");
        for (route, one) in lock(&self.mirrors).iter() {
            for ((_, result), count) in MirrorResult::ALL.iter().zip(&one.0) {
                let labels = [("route", &**route), ("result", result)];
                page.sample(names::MIRRORED, &labels, count.load(Relaxed));
            }
        }
        page.head(names::CONCURRENCY_IN_FLIGHT, "gauge", "Requests that have a place.");
        for (route, gate) in lock(&self.gates).iter() {
            page.sample(names::CONCURRENCY_IN_FLIGHT, &[("route", route)], gate.in_flight());
        }
        page.head(names::CONCURRENCY_WAITING, "gauge", "Requests that wait for a place.");
        for (route, gate) in lock(&self.gates).iter() {
            page.sample(names::CONCURRENCY_WAITING, &[("route", route)], gate.waiting());
        }
        page.head(names::DOWNSTREAM_REJECTED, "counter", "Refused for what the client sent.");
        for (reason, count) in lock(&self.rejected).iter() {
            page.sample(names::DOWNSTREAM_REJECTED, &[("reason", reason)], count.load(Relaxed));
        }
    }

    fn merged(&self) -> BTreeMap<(Arc<str>, Arc<str>), Merged> {
        let mut merged = BTreeMap::<_, Merged>::new();
        for shard in lock(&self.shards).iter() {
            for series in lock(&shard.series).iter() {
                merged
                    .entry((Arc::clone(&series.listener), Arc::clone(&series.route)))
                    .or_default()
                    .add(series);
            }
        }
        merged
    }

    /// Refusals that were not carried out, by route and reason, over all workers and listeners.
    pub(crate) fn would_denied(&self) -> BTreeMap<(Arc<str>, &'static str), u64> {
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

    fn render_connections(&self, page: &mut Page) {
        let listeners = lock(&self.listeners);
        page.head(names::DOWNSTREAM_CONNECTIONS, "gauge", "Open client connections.");
        for (name, one) in listeners.iter() {
            page.sample(names::DOWNSTREAM_CONNECTIONS, &[("listener", name)], one.open.load(Relaxed));
        }
        page.head(names::DOWNSTREAM_CONNECTIONS_TOTAL, "counter", "Client connections accepted.");
        for (name, one) in listeners.iter() {
            page.sample(
                names::DOWNSTREAM_CONNECTIONS_TOTAL,
                &[("listener", name)],
                one.accepted.load(Relaxed),
            );
        }
        page.head(names::TLS_HANDSHAKES, "counter", "TLS handshakes.");
        for (name, one) in listeners.iter() {
            for (result, reason, count) in one.handshakes.series() {
                let labels = [("listener", &**name), ("result", result), ("reason", reason)];
                page.sample(names::TLS_HANDSHAKES, &labels, count);
            }
        }
        page.head(
            names::TLS_DISTRUSTED,
            "counter",
            "Live connections ended because a reload does not believe their client.",
        );
        for (name, one) in listeners.iter() {
            page.sample(names::TLS_DISTRUSTED, &[("listener", name)], one.distrusted.load(Relaxed));
        }
        page.head(names::TLS_CERTIFICATE_EXPIRY, "gauge", "When a certificate expires, seconds since 1970.");
        for (listener, file, end) in lock(&self.certificates).iter() {
            page.sample(names::TLS_CERTIFICATE_EXPIRY, &[("listener", listener), ("file", file)], end);
        }
        page.head(
            names::DOWNSTREAM_ACCEPT_WAITS,
            "counter",
            "Waits with accept at the limit of connections.",
        );
        for (name, one) in listeners.iter() {
            page.sample(names::DOWNSTREAM_ACCEPT_WAITS, &[("listener", name)], one.waits.load(Relaxed));
        }
        let upstreams = lock(&self.upstreams);
        page.head(names::UPSTREAM_CONNECTS, "counter", "Connects to endpoints.");
        for (name, one) in upstreams.iter() {
            for (result, count) in ["ok", "failed"].iter().zip(&one.connects) {
                let labels = [("upstream", &**name), ("result", result)];
                page.sample(names::UPSTREAM_CONNECTS, &labels, count.load(Relaxed));
            }
        }
        page.head(names::DNS_LOOKUPS, "counter", "Lookups of names.");
        for (name, one) in upstreams.iter() {
            for ((_, result), count) in LookupResult::ALL.iter().zip(&one.lookups) {
                let count = count.load(Relaxed);
                if count > 0 {
                    page.sample(names::DNS_LOOKUPS, &[("upstream", &**name), ("result", result)], count);
                }
            }
        }
        page.head(names::UPSTREAM_TLS_HANDSHAKES, "counter", "TLS handshakes with endpoints.");
        for (name, one) in upstreams.iter() {
            for (result, reason, count) in one.handshakes.series() {
                let labels = [("upstream", &**name), ("result", result), ("reason", reason)];
                page.sample(names::UPSTREAM_TLS_HANDSHAKES, &labels, count);
            }
        }
        render_retries(&upstreams, page);
        page.head(names::OUTLIER_EJECTIONS, "counter", "Endpoints ejected because they failed.");
        for (name, one) in upstreams.iter() {
            page.sample(names::OUTLIER_EJECTIONS, &[("upstream", name)], one.ejections.load(Relaxed));
        }
        page.head(names::UPSTREAM_OVERFLOWS, "counter", "Requests refused by a circuit breaker.");
        for (name, one) in upstreams.iter() {
            for (limit, count) in ["requests", "pending"].iter().zip(&one.overflows) {
                let labels = [("upstream", &**name), ("limit", limit)];
                page.sample(names::UPSTREAM_OVERFLOWS, &labels, count.load(Relaxed));
            }
        }
        page.head(names::HEALTH_CHECKS, "counter", "Questions to endpoints whether they are well.");
        for (name, one) in upstreams.iter() {
            for (result, count) in ["ok", "failed"].iter().zip(&one.health_checks) {
                let labels = [("upstream", &**name), ("result", result)];
                page.sample(names::HEALTH_CHECKS, &labels, count.load(Relaxed));
            }
        }
        drop(upstreams);
        self.render_endpoints(page);
    }

    fn render_endpoints(&self, page: &mut Page) {
        let readings = self.readings.get().map(|read| read()).unwrap_or_default();
        page.head(names::UPSTREAM_IN_USE, "gauge", "What counts against the limits of a circuit breaker.");
        for (one, in_use) in readings.iter().filter_map(|one| Some((one, one.in_use?))) {
            for (limit, count) in ["connections", "requests", "pending"].iter().zip(in_use) {
                let labels = [("upstream", &*one.upstream), ("limit", limit)];
                page.sample(names::UPSTREAM_IN_USE, &labels, count);
            }
        }
        page.head(names::ENDPOINT_EJECTED, "gauge", "Whether an endpoint is ejected.");
        for (upstream, one) in readings.iter().flat_map(Reading::each) {
            let labels = [("upstream", upstream), ("endpoint", &*one.endpoint)];
            page.sample(names::ENDPOINT_EJECTED, &labels, u8::from(one.ejected));
        }
        page.head(names::ENDPOINT_HEALTHY, "gauge", "Whether an endpoint says that it is well.");
        for (upstream, one) in readings.iter().flat_map(Reading::each) {
            let labels = [("upstream", upstream), ("endpoint", &*one.endpoint)];
            if let Some(healthy) = one.healthy {
                page.sample(names::ENDPOINT_HEALTHY, &labels, u8::from(healthy));
            }
        }
    }

    fn render_jwks(&self, page: &mut Page) {
        let jwks = lock(&self.jwks);
        page.head(names::JWKS_FETCHES, "counter", "Fetches of keys.");
        for (provider, one) in jwks.iter() {
            for ((_, result), count) in FetchResult::ALL.iter().zip(&one.fetches) {
                let labels = [("provider", &**provider), ("result", result)];
                page.sample(names::JWKS_FETCHES, &labels, count.load(Relaxed));
            }
        }
        page.head(names::JWKS_KEYS, "gauge", "Keys that tokens are verified with.");
        for (provider, one) in jwks.iter() {
            page.sample(names::JWKS_KEYS, &[("provider", provider)], one.keys.load(Relaxed));
        }
        page.head(names::JWKS_AGE, "gauge", "Seconds since keys were last loaded.");
        for (provider, one) in jwks.iter() {
            let loaded = one.loaded.load(Relaxed);
            if loaded > 0 {
                page.sample(names::JWKS_AGE, &[("provider", provider)], now().saturating_sub(loaded));
            }
        }
    }

    fn render_process(&self, page: &mut Page) {
        let ok = !self.reload_failed.load(Relaxed);
        page.single(names::CONFIG_RELOAD_OK, "gauge", "Whether the last reload was accepted.", u8::from(ok));
        page.single(
            names::CONFIG_GENERATION,
            "gauge",
            "Configurations published.",
            self.generation.load(Relaxed),
        );
        page.head(names::CONFIG_RELOADS, "counter", "Reloads tried.");
        for (result, count) in ["ok", "failed"].iter().zip(&self.reloads) {
            page.sample(names::CONFIG_RELOADS, &[("result", result)], count.load(Relaxed));
        }
        let dropped = self.access_log_dropped.load(Relaxed);
        page.single(names::ACCESS_LOG_DROPPED, "counter", "Access-log lines lost.", dropped);
        page.single(
            names::PANICS,
            "counter",
            "Panics, each ended one connection.",
            self.panics.load(Relaxed),
        );
        let draining = u8::from(self.draining.load(Relaxed));
        page.single(names::DRAINING, "gauge", "Whether a drain has begun.", draining);
        page.head(names::BUILD_INFO, "gauge", "The running version.");
        page.sample(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

#[derive(Default)]
struct Merged {
    outcomes: BTreeMap<(String, &'static str), u64>,
    buckets: [u64; names::DURATION_BUCKETS.len() + 1],
    micros: u64,
}

impl Merged {
    fn add(&mut self, series: &Series) {
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

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (key, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{key}=\"", if i == 0 { '{' } else { ',' });
            // Only paths of files can have what needs an escape.
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        self.0.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, listener: &str, route: &str, series: &Merged) {
        let bucket = format!("{}_bucket", names::REQUEST_DURATION);
        let mut sum = 0;
        for (i, count) in series.buckets.iter().enumerate() {
            sum += count;
            let bound = names::DURATION_BUCKETS.get(i).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.sample(&bucket, &[("listener", listener), ("route", route), ("le", &bound)], sum);
        }
        let labels = [("listener", listener), ("route", route)];
        self.sample(&format!("{}_sum", names::REQUEST_DURATION), &labels, series.micros as f64 / 1e6);
        self.sample(&format!("{}_count", names::REQUEST_DURATION), &labels, sum);
    }
}

fn render_retries(upstreams: &BTreeMap<Arc<str>, Arc<UpstreamCounters>>, page: &mut Page) {
    page.head(names::RETRIES, "counter", "Requests sent once more.");
    for (name, one) in upstreams {
        for (reason, count) in Reason::ALL.iter().zip(&one.retries) {
            let labels = [("upstream", &**name), ("reason", reason.as_str())];
            page.sample(names::RETRIES, &labels, count.load(Relaxed));
        }
    }
    page.head(names::RETRY_BUDGET_EXHAUSTED, "counter", "Requests not sent once more for want of budget.");
    for (name, one) in upstreams {
        let count = one.budget_exhausted.load(Relaxed);
        page.sample(names::RETRY_BUDGET_EXHAUSTED, &[("upstream", name)], count);
    }
    page.head(names::HEDGES, "counter", "Second tries beside the first.");
    for (name, one) in upstreams {
        for (result, count) in ["won", "lost"].iter().zip(&one.hedges) {
            page.sample(names::HEDGES, &[("upstream", name), ("result", result)], count.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_two_workers_are_summed_in_one_page() {
        let metrics = Metrics::default();
        let (listener, route): (Arc<str>, Arc<str>) = ("in-8000".into(), "app".into());
        for _ in 0..2 {
            let series = metrics.shard().series(&listener, &route);
            series.record(200, Flag::None, Duration::from_millis(3));
            series.record(503, Flag::Uh, Duration::from_secs(20));
        }
        let page = metrics.render();
        for line in [
            r#"outrigger_requests_total{listener="in-8000",route="app",status="200",flag=""} 2"#,
            r#"outrigger_requests_total{listener="in-8000",route="app",status="503",flag="UH"} 2"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",le="0.001"} 0"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",le="0.005"} 2"#,
            r#"outrigger_request_duration_seconds_bucket{listener="in-8000",route="app",le="+Inf"} 4"#,
            r#"outrigger_request_duration_seconds_count{listener="in-8000",route="app"} 4"#,
            "outrigger_config_last_reload_successful 1",
        ] {
            assert!(page.lines().any(|one| one == line), "{line} is missing in\n{page}");
        }
    }
}
