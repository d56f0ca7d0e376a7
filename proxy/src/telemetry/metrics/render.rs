//! Renders the counters as the scraped page. Names, labels and help come from the table in
//! [`super::family`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use outrigger_filters::{reason::Reason, retry::RetryReason};
use outrigger_monitor::exposition;
use outrigger_transport::dns::LookupResult;

use super::{
    Limit, Metrics,
    external::{ExtAuthResult, MirrorResult, RedisResult},
    family,
    jwks::{FetchResult, now},
    listener::ListenerCounters,
    lock,
    monitor::{self, Monitored},
    page::{Format, Page},
    reading::Reading,
    upstream::UpstreamCounters,
};

type Upstreams = BTreeMap<Arc<str>, Arc<UpstreamCounters>>;

impl Metrics {
    /// The page in one of its formats, with what is known of the app and, behind everything else, the app's own page.
    pub(crate) fn render(
        &self,
        format: Format,
        monitored: &Monitored,
        app: Option<&exposition::Page<'_>>,
    ) -> String {
        self.forget();
        let mut page = Page::new(format);
        self.render_requests(&mut page);
        self.render_filters(&mut page);
        render_listeners(&lock(&self.listeners), &mut page);
        self.render_certificates(&mut page);
        let upstreams = lock(&self.upstreams);
        render_connects(&upstreams, &mut page);
        render_attempts(&upstreams, &mut page);
        render_limits(&upstreams, &mut page);
        drop(upstreams);
        self.render_endpoints(&mut page);
        self.render_jwks(&mut page);
        self.render_logs(&mut page);
        self.render_process(&mut page);
        self.render_app(&mut page);
        monitor::render(monitored, &mut page);
        if let Some(app) = app {
            page.append(app);
        }
        page.end()
    }

    fn render_requests(&self, page: &mut Page) {
        let merged = self.merged();
        let all = || {
            merged.iter().map(|([listener, route, upstream], series)| {
                ([&**listener, &**route, &**upstream], series)
            })
        };
        let outcomes = all().flat_map(|([listener, route, upstream], series)| {
            series.outcomes.iter().map(move |((status, flag), count)| {
                ([listener, route, upstream, &**status, *flag], count)
            })
        });
        page.family(&family::REQUESTS, outcomes);
        page.histograms(&family::REQUEST_DURATION, all());
    }

    /// Decisions of filters, and results of requests to their services.
    fn render_filters(&self, page: &mut Page) {
        let would_denied = self.would_denied();
        let would_deny = would_denied
            .iter()
            .map(|((route, reason), count)| ([&**route, reason.as_str()], count));
        page.family(&family::WOULD_DENY, would_deny);
        let ext_auth = lock(&self.ext_auth);
        let decided = ext_auth
            .iter()
            .flat_map(|(route, one)| by(route, ExtAuthResult::ALL.map(|it| it.1), &one.0));
        page.family(&family::EXT_AUTH, decided);
        let redis = self.redis.get().into_iter().flat_map(|one| {
            let counts = RedisResult::ALL.iter().zip(&one.0);
            counts.map(|((_, result), count)| ([*result], count.load(Relaxed)))
        });
        page.family(&family::REDIS, redis);
        let mirrors = lock(&self.mirrors);
        let mirrored = mirrors
            .iter()
            .flat_map(|(route, one)| by(route, MirrorResult::ALL.map(|it| it.1), &one.0));
        page.family(&family::MIRRORED, mirrored);
        let gates = lock(&self.gates);
        let in_flight = gates
            .iter()
            .map(|(route, gate)| ([&**route], gate.in_flight()));
        page.family(&family::CONCURRENCY_IN_FLIGHT, in_flight);
        let queued = gates
            .iter()
            .map(|(route, gate)| ([&**route], gate.waiting()));
        page.family(&family::CONCURRENCY_QUEUED, queued);
        let rejected = Reason::ALL.iter().zip(&self.rejected.0);
        let rejected = rejected
            .map(|(reason, count)| ([reason.as_str()], count.load(Relaxed)))
            .filter(|(_, count)| *count > 0);
        page.family(&family::DOWNSTREAM_REJECTED, rejected);
    }

    fn render_certificates(&self, page: &mut Page) {
        let certificates = lock(&self.certificates);
        let ends = certificates
            .iter()
            .map(|(listener, file, end)| ([&**listener, &**file], end));
        page.family(&family::TLS_CERTIFICATE_EXPIRY, ends);
    }

    fn render_endpoints(&self, page: &mut Page) {
        let readings = self.readings.get().map(|read| read()).unwrap_or_default();
        let in_use = readings.iter().flat_map(|one| {
            let limits = ["connections", "requests", "pending"];
            let counts = one
                .in_use
                .into_iter()
                .flat_map(move |counts| limits.into_iter().zip(counts));
            counts.map(|(limit, count)| ([&*one.upstream, limit], count))
        });
        page.family(&family::CIRCUIT_BREAKER_IN_USE, in_use);
        let endpoints = || readings.iter().flat_map(Reading::each);
        let ejected =
            endpoints().map(|(upstream, one)| ([upstream, &*one.endpoint], u8::from(one.ejected)));
        page.family(&family::ENDPOINT_EJECTED, ejected);
        let healthy = endpoints().filter_map(|(upstream, one)| {
            Some(([upstream, &*one.endpoint], u8::from(one.healthy?)))
        });
        page.family(&family::ENDPOINT_HEALTHY, healthy);
    }

    fn render_jwks(&self, page: &mut Page) {
        let jwks = lock(&self.jwks);
        let fetches = jwks.iter().flat_map(|(provider, one)| {
            by(provider, FetchResult::ALL.map(|it| it.1), &one.fetches)
        });
        page.family(&family::JWKS_FETCHES, fetches);
        let keys = jwks
            .iter()
            .map(|(provider, one)| ([&**provider], one.keys.load(Relaxed)));
        page.family(&family::JWKS_KEYS, keys);
        let ages = jwks.iter().filter_map(|(provider, one)| {
            let loaded = Some(one.loaded.load(Relaxed)).filter(|loaded| *loaded > 0)?;
            Some(([&**provider], now().saturating_sub(loaded)))
        });
        page.family(&family::JWKS_AGE, ages);
    }

    fn render_process(&self, page: &mut Page) {
        let reload_ok = u8::from(!self.reload_failed.load(Relaxed));
        page.single(&family::CONFIG_RELOAD_OK, reload_ok);
        page.single(&family::CONFIG_GENERATION, self.generation.load(Relaxed));
        let reloads = ["ok", "failed"].into_iter().zip(&self.reloads);
        let reloads = reloads.map(|(result, count)| ([result], count.load(Relaxed)));
        page.family(&family::CONFIG_RELOADS, reloads);
        page.single(
            &family::ACCESS_LOG_DROPPED,
            self.access_log_dropped.load(Relaxed),
        );
        page.single(&family::PANICS, self.panics.load(Relaxed));
        page.single(&family::DRAINING, u8::from(self.draining.load(Relaxed)));
        page.family(&family::BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1)]);
    }

    fn render_app(&self, page: &mut Page) {
        let shown = self.app.shown();
        page.family(&family::APP_UP, shown.map(|app| ([], u8::from(app.up))));
        let since = shown.and_then(|app| app.since);
        let since = since.map(|since| ([], since.as_secs_f64()));
        page.family(&family::APP_UP_SINCE, since);
        page.family(
            &family::APP_RECOVERIES,
            shown.map(|app| ([], app.recoveries)),
        );
    }
}

/// One name's counts, each with a second label.
fn by<'a, const N: usize>(
    name: &'a str,
    words: [&'a str; N],
    counts: &'a [AtomicU64; N],
) -> impl Iterator<Item = ([&'a str; 2], u64)> {
    let pairs = words.into_iter().zip(counts);
    pairs.map(move |(word, count)| ([name, word], count.load(Relaxed)))
}

fn render_listeners(listeners: &BTreeMap<Arc<str>, Arc<ListenerCounters>>, page: &mut Page) {
    let open = listeners
        .iter()
        .map(|(name, one)| ([&**name], one.open.load(Relaxed)));
    page.family(&family::DOWNSTREAM_CONNECTIONS, open);
    let accepted = listeners
        .iter()
        .map(|(name, one)| ([&**name], one.accepted.load(Relaxed)));
    page.family(&family::DOWNSTREAM_CONNECTIONS_TOTAL, accepted);
    let evicted = listeners
        .iter()
        .flat_map(|(name, one)| by(name, Limit::ALL.map(Limit::name), &one.evicted));
    page.family(&family::DOWNSTREAM_EVICTIONS, evicted);
    let waits = listeners
        .iter()
        .map(|(name, one)| ([&**name], one.waits.load(Relaxed)));
    page.family(&family::DOWNSTREAM_ACCEPT_WAITS, waits);
    let handshakes = listeners.iter().flat_map(|(name, one)| {
        let series = one.handshakes.series();
        series.map(|(result, reason, count)| ([&**name, result, reason], count))
    });
    page.family(&family::TLS_HANDSHAKES, handshakes);
    let distrusted = listeners
        .iter()
        .map(|(name, one)| ([&**name], one.distrusted.load(Relaxed)));
    page.family(&family::TLS_DISTRUSTED, distrusted);
}

fn render_connects(upstreams: &Upstreams, page: &mut Page) {
    let connects = upstreams
        .iter()
        .flat_map(|(name, one)| by(name, ["ok", "failed"], &one.connects));
    page.family(&family::UPSTREAM_CONNECTS, connects);
    // Upstreams with fixed addresses have no DNS lookups: no series for them.
    let lookups = upstreams
        .iter()
        .flat_map(|(name, one)| by(name, LookupResult::ALL.map(|it| it.1), &one.lookups))
        .filter(|(_, count)| *count > 0);
    page.family(&family::DNS_LOOKUPS, lookups);
    let handshakes = upstreams.iter().flat_map(|(name, one)| {
        let series = one.handshakes.series();
        series.map(|(result, reason, count)| ([&**name, result, reason], count))
    });
    page.family(&family::UPSTREAM_TLS_HANDSHAKES, handshakes);
}

fn render_attempts(upstreams: &Upstreams, page: &mut Page) {
    let retries = upstreams.iter().flat_map(|(name, one)| {
        by(
            name,
            RetryReason::ALL.map(RetryReason::as_str),
            &one.retries,
        )
    });
    page.family(&family::RETRIES, retries);
    let exhausted = upstreams
        .iter()
        .map(|(name, one)| ([&**name], one.budget_exhausted.load(Relaxed)));
    page.family(&family::RETRY_BUDGET_EXHAUSTED, exhausted);
    let hedges = upstreams
        .iter()
        .flat_map(|(name, one)| by(name, ["won", "lost"], &one.hedges));
    page.family(&family::HEDGES, hedges);
}

fn render_limits(upstreams: &Upstreams, page: &mut Page) {
    let ejections = upstreams
        .iter()
        .map(|(name, one)| ([&**name], one.ejections.load(Relaxed)));
    page.family(&family::OUTLIER_EJECTIONS, ejections);
    let rejected = upstreams
        .iter()
        .flat_map(|(name, one)| by(name, ["requests", "pending"], &one.overflows));
    page.family(&family::CIRCUIT_BREAKER_REJECTED, rejected);
    let checks = upstreams
        .iter()
        .flat_map(|(name, one)| by(name, ["ok", "failed"], &one.health_checks));
    page.family(&family::HEALTH_CHECKS, checks);
}
