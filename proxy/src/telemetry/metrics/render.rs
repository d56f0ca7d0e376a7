//! From counters to the page that is scraped.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use outrigger_filters::retry::Reason;

use super::{
    Limit, Metrics,
    asked::{ExtAuthResult, MirrorResult, RedisResult},
    jwks::{FetchResult, now},
    lock,
    page::Page,
    upstream::{LookupResult, UpstreamCounters},
};
use crate::telemetry::{names, notes::Reading};

impl Metrics {
    /// The Prometheus text, format 0.0.4.
    pub(crate) fn render(&self) -> String {
        self.forget();
        let mut page = Page(String::with_capacity(8 * 1024));
        self.render_requests(&mut page);
        self.render_connections(&mut page);
        self.render_jwks(&mut page);
        self.render_process(&mut page);
        page.0
    }

    fn render_requests(&self, page: &mut Page) {
        let merged = self.merged();
        page.head(
            names::REQUESTS,
            "counter",
            "Requests answered, also by the proxy itself.",
        );
        for ([listener, route, upstream], series) in &merged {
            for ((status, flag), count) in &series.outcomes {
                let labels = [
                    ("listener", &**listener),
                    ("route", route),
                    ("upstream", upstream),
                    ("status", status),
                    ("flag", flag),
                ];
                page.sample(names::REQUESTS, &labels, count);
            }
        }
        page.head(
            names::REQUEST_DURATION,
            "histogram",
            "Seconds from the request head to the last byte.",
        );
        for ([listener, route, upstream], series) in &merged {
            page.histogram(
                [
                    ("listener", &**listener),
                    ("route", route),
                    ("upstream", upstream),
                ],
                series,
            );
        }
        page.head(
            names::WOULD_DENY,
            "counter",
            "Requests that a report mode let through.",
        );
        for ((route, reason), count) in self.would_denied() {
            page.sample(
                names::WOULD_DENY,
                &[("route", &route), ("reason", reason)],
                count,
            );
        }
        page.head(
            names::EXT_AUTH,
            "counter",
            "Questions to the service of extAuth.",
        );
        for (route, one) in lock(&self.ext_auth).iter() {
            for ((_, result), count) in ExtAuthResult::ALL.iter().zip(&one.0) {
                let labels = [("route", &**route), ("result", result)];
                page.sample(names::EXT_AUTH, &labels, count.load(Relaxed));
            }
        }
        page.head(names::REDIS, "counter", "Questions to redis.");
        if let Some(one) = self.redis.get() {
            for ((_, result), count) in RedisResult::ALL.iter().zip(&one.0) {
                page.sample(names::REDIS, &[("result", result)], count.load(Relaxed));
            }
        }
        page.head(names::MIRRORED, "counter", "Copies of requests.");
        for (route, one) in lock(&self.mirrors).iter() {
            for ((_, result), count) in MirrorResult::ALL.iter().zip(&one.0) {
                let labels = [("route", &**route), ("result", result)];
                page.sample(names::MIRRORED, &labels, count.load(Relaxed));
            }
        }
        page.head(
            names::CONCURRENCY_IN_FLIGHT,
            "gauge",
            "Requests that have a place.",
        );
        for (route, gate) in lock(&self.gates).iter() {
            page.sample(
                names::CONCURRENCY_IN_FLIGHT,
                &[("route", route)],
                gate.in_flight(),
            );
        }
        page.head(
            names::CONCURRENCY_WAITING,
            "gauge",
            "Requests that wait for a place.",
        );
        for (route, gate) in lock(&self.gates).iter() {
            page.sample(
                names::CONCURRENCY_WAITING,
                &[("route", route)],
                gate.waiting(),
            );
        }
        page.head(
            names::DOWNSTREAM_REJECTED,
            "counter",
            "Refused for what the client sent.",
        );
        for (reason, count) in lock(&self.rejected).iter() {
            page.sample(
                names::DOWNSTREAM_REJECTED,
                &[("reason", reason)],
                count.load(Relaxed),
            );
        }
    }

    fn render_connections(&self, page: &mut Page) {
        let listeners = lock(&self.listeners);
        page.head(
            names::DOWNSTREAM_CONNECTIONS,
            "gauge",
            "Open client connections.",
        );
        for (name, one) in listeners.iter() {
            page.sample(
                names::DOWNSTREAM_CONNECTIONS,
                &[("listener", name)],
                one.open.load(Relaxed),
            );
        }
        page.head(
            names::DOWNSTREAM_CONNECTIONS_TOTAL,
            "counter",
            "Client connections accepted.",
        );
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
                let labels = [
                    ("listener", &**name),
                    ("result", result),
                    ("reason", reason),
                ];
                page.sample(names::TLS_HANDSHAKES, &labels, count);
            }
        }
        page.head(
            names::TLS_DISTRUSTED,
            "counter",
            "Live connections ended because a reload does not believe their client.",
        );
        for (name, one) in listeners.iter() {
            page.sample(
                names::TLS_DISTRUSTED,
                &[("listener", name)],
                one.distrusted.load(Relaxed),
            );
        }
        page.head(
            names::TLS_CERTIFICATE_EXPIRY,
            "gauge",
            "When a certificate expires, seconds since 1970.",
        );
        for (listener, file, end) in lock(&self.certificates).iter() {
            page.sample(
                names::TLS_CERTIFICATE_EXPIRY,
                &[("listener", listener), ("file", file)],
                end,
            );
        }
        page.head(
            names::DOWNSTREAM_EVICTIONS,
            "counter",
            "Idle client connections closed to make room.",
        );
        for (name, one) in listeners.iter() {
            for limit in Limit::ALL {
                let labels = [("listener", &**name), ("limit", limit.name())];
                page.sample(
                    names::DOWNSTREAM_EVICTIONS,
                    &labels,
                    one.evicted[limit as usize].load(Relaxed),
                );
            }
        }
        page.head(
            names::DOWNSTREAM_ACCEPT_WAITS,
            "counter",
            "Waits with accept at the limit of connections.",
        );
        for (name, one) in listeners.iter() {
            page.sample(
                names::DOWNSTREAM_ACCEPT_WAITS,
                &[("listener", name)],
                one.waits.load(Relaxed),
            );
        }
        let upstreams = lock(&self.upstreams);
        page.head(
            names::UPSTREAM_CONNECTS,
            "counter",
            "Connects to endpoints.",
        );
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
                    page.sample(
                        names::DNS_LOOKUPS,
                        &[("upstream", &**name), ("result", result)],
                        count,
                    );
                }
            }
        }
        page.head(
            names::UPSTREAM_TLS_HANDSHAKES,
            "counter",
            "TLS handshakes with endpoints.",
        );
        for (name, one) in upstreams.iter() {
            for (result, reason, count) in one.handshakes.series() {
                let labels = [
                    ("upstream", &**name),
                    ("result", result),
                    ("reason", reason),
                ];
                page.sample(names::UPSTREAM_TLS_HANDSHAKES, &labels, count);
            }
        }
        render_retries(&upstreams, page);
        page.head(
            names::OUTLIER_EJECTIONS,
            "counter",
            "Endpoints ejected because they failed.",
        );
        for (name, one) in upstreams.iter() {
            page.sample(
                names::OUTLIER_EJECTIONS,
                &[("upstream", name)],
                one.ejections.load(Relaxed),
            );
        }
        page.head(
            names::UPSTREAM_OVERFLOWS,
            "counter",
            "Requests refused by a circuit breaker.",
        );
        for (name, one) in upstreams.iter() {
            for (limit, count) in ["requests", "pending"].iter().zip(&one.overflows) {
                let labels = [("upstream", &**name), ("limit", limit)];
                page.sample(names::UPSTREAM_OVERFLOWS, &labels, count.load(Relaxed));
            }
        }
        page.head(
            names::HEALTH_CHECKS,
            "counter",
            "Questions to endpoints whether they are well.",
        );
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
        page.head(
            names::UPSTREAM_IN_USE,
            "gauge",
            "What counts against the limits of a circuit breaker.",
        );
        for (one, in_use) in readings.iter().filter_map(|one| Some((one, one.in_use?))) {
            for (limit, count) in ["connections", "requests", "pending"].iter().zip(in_use) {
                let labels = [("upstream", &*one.upstream), ("limit", limit)];
                page.sample(names::UPSTREAM_IN_USE, &labels, count);
            }
        }
        page.head(
            names::ENDPOINT_EJECTED,
            "gauge",
            "Whether an endpoint is ejected.",
        );
        for (upstream, one) in readings.iter().flat_map(Reading::each) {
            let labels = [("upstream", upstream), ("endpoint", &*one.endpoint)];
            page.sample(names::ENDPOINT_EJECTED, &labels, u8::from(one.ejected));
        }
        page.head(
            names::ENDPOINT_HEALTHY,
            "gauge",
            "Whether an endpoint says that it is well.",
        );
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
        page.head(
            names::JWKS_KEYS,
            "gauge",
            "Keys that tokens are verified with.",
        );
        for (provider, one) in jwks.iter() {
            page.sample(
                names::JWKS_KEYS,
                &[("provider", provider)],
                one.keys.load(Relaxed),
            );
        }
        page.head(
            names::JWKS_AGE,
            "gauge",
            "Seconds since keys were last loaded.",
        );
        for (provider, one) in jwks.iter() {
            let loaded = one.loaded.load(Relaxed);
            if loaded > 0 {
                page.sample(
                    names::JWKS_AGE,
                    &[("provider", provider)],
                    now().saturating_sub(loaded),
                );
            }
        }
    }

    fn render_process(&self, page: &mut Page) {
        let ok = !self.reload_failed.load(Relaxed);
        page.single(
            names::CONFIG_RELOAD_OK,
            "gauge",
            "Whether the last reload was accepted.",
            u8::from(ok),
        );
        page.single(
            names::CONFIG_GENERATION,
            "gauge",
            "Configurations published.",
            self.generation.load(Relaxed),
        );
        page.head(names::CONFIG_RELOADS, "counter", "Reloads tried.");
        for (result, count) in ["ok", "failed"].iter().zip(&self.reloads) {
            page.sample(
                names::CONFIG_RELOADS,
                &[("result", result)],
                count.load(Relaxed),
            );
        }
        let dropped = self.access_log_dropped.load(Relaxed);
        page.single(
            names::ACCESS_LOG_DROPPED,
            "counter",
            "Access-log lines lost.",
            dropped,
        );
        page.single(
            names::PANICS,
            "counter",
            "Panics, each ended one connection.",
            self.panics.load(Relaxed),
        );
        let draining = u8::from(self.draining.load(Relaxed));
        page.single(
            names::DRAINING,
            "gauge",
            "Whether a drain has begun.",
            draining,
        );
        page.head(names::BUILD_INFO, "gauge", "The running version.");
        page.sample(
            names::BUILD_INFO,
            &[("version", env!("CARGO_PKG_VERSION"))],
            1,
        );
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
    page.head(
        names::RETRY_BUDGET_EXHAUSTED,
        "counter",
        "Requests not sent once more for want of budget.",
    );
    for (name, one) in upstreams {
        let count = one.budget_exhausted.load(Relaxed);
        page.sample(names::RETRY_BUDGET_EXHAUSTED, &[("upstream", name)], count);
    }
    page.head(names::HEDGES, "counter", "Second tries beside the first.");
    for (name, one) in upstreams {
        for (result, count) in ["won", "lost"].iter().zip(&one.hedges) {
            page.sample(
                names::HEDGES,
                &[("upstream", name), ("result", result)],
                count.load(Relaxed),
            );
        }
    }
}
