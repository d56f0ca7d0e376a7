//! Active health checks, on the control thread, each endpoint with its own timer.
//!
//! An endpoint starts as healthy, so that the start of the proxy does not wait for checks. Its
//! first check alone decides, since there is no earlier result. After that, a change of state takes
//! several consecutive results.

use std::{sync::Arc, time::Duration};

use outrigger_config::model::{HealthCheck, Protocol, ReadinessProbe};
use outrigger_transport::{
    connect::{Secure, connect},
    probe::{self, Cause, Target},
    tls::client::AppProtocol,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{clock, endpoint::Endpoint, registry::Upstream};

/// The first check runs within this time, at random, so that many endpoints are not checked at the
/// same moment.
const FIRST: Duration = Duration::from_secs(1);

/// The tasks that check, one for each upstream with `healthCheck`.
#[derive(Default)]
pub(crate) struct HealthChecks(Vec<(Arc<Upstream>, Task)>);

/// Aborted when it is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HealthChecks {
    /// Checks the endpoints of these upstreams from now on, and no others.
    pub(crate) fn follow(&mut self, upstreams: &[Arc<Upstream>]) {
        self.0
            .retain(|(known, _)| upstreams.iter().any(|one| Arc::ptr_eq(one, known)));
        for upstream in upstreams
            .iter()
            .filter(|one| one.model.health_check.is_some())
        {
            if !self.0.iter().any(|(known, _)| Arc::ptr_eq(known, upstream)) {
                let task = Task(tokio::spawn(watch(Arc::clone(upstream))));
                self.0.push((Arc::clone(upstream), task));
            }
        }
    }
}

/// Runs one task for each current endpoint of the upstream.
async fn watch(upstream: Arc<Upstream>) {
    let mut target: Vec<(Arc<Endpoint>, Task)> = Vec::new();
    loop {
        let changed = upstream.changed(); // before the set is read, so that no change is missed
        let set = upstream.set();
        target.retain(|(known, _)| set.endpoints.iter().any(|one| Arc::ptr_eq(one, known)));
        for endpoint in &set.endpoints {
            if !target.iter().any(|(known, _)| Arc::ptr_eq(known, endpoint)) {
                let task = Task(tokio::spawn(check_repeatedly(
                    Arc::clone(&upstream),
                    Arc::clone(endpoint),
                )));
                target.push((Arc::clone(endpoint), task));
            }
        }
        drop(set);
        changed.await;
    }
}

async fn check_repeatedly(upstream: Arc<Upstream>, endpoint: Arc<Endpoint>) {
    let Some(rules) = &upstream.model.health_check else {
        return;
    };
    let mut counter = ResultCounter::default();
    sleep(FIRST.min(rules.interval).mul_f64(fastrand::f64())).await;
    loop {
        let answer = match timeout(rules.timeout, check(&upstream, &endpoint, rules)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {:?}", rules.timeout)),
        };
        upstream.counters.health_checked(answer.is_ok());
        if let Some(healthy) = counter.record(rules, endpoint.is_healthy(), answer.is_ok()) {
            if healthy {
                endpoint.begin_slowly(clock::micros());
            }
            endpoint.set_healthy(healthy);
            let (name, label) = (&upstream.model.name, &endpoint.address.label);
            match answer {
                Ok(()) => tracing::info!(upstream = %name, endpoint = %label, "healthy again"),
                Err(why) => tracing::warn!(upstream = %name, endpoint = %label, "unhealthy: {why}"),
            }
        }
        // ±10 %, so that proxies do not check at the same moment.
        sleep(rules.interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
    }
}

async fn check(upstream: &Upstream, endpoint: &Endpoint, rules: &HealthCheck) -> Result<(), Cause> {
    let protocol = upstream.model.protocol;
    let secure = upstream.tls.as_ref().map(|connector| Secure {
        connector,
        app_protocol: inside_tls(protocol, rules),
    });
    let connected = connect(&endpoint.address, secure, rules.timeout).await?;
    let scheme = if upstream.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let target = Target {
        scheme,
        host: upstream.model.host(&endpoint.address.spec),
    };
    match &rules.probe {
        ReadinessProbe::Connect => Ok(()),
        ReadinessProbe::Http { path } if connected.http2 || protocol == Protocol::H2c => {
            probe::http2(connected.stream, target, path).await
        }
        ReadinessProbe::Http { path } => probe::http1(connected.stream, target, path).await,
        ReadinessProbe::Grpc { service } => probe::grpc(connected.stream, target, service).await,
    }
}

/// What ALPN offers: for gRPC only HTTP/2, otherwise what requests to the upstream may use.
fn inside_tls(protocol: Protocol, rules: &HealthCheck) -> AppProtocol {
    match (&rules.probe, protocol) {
        (ReadinessProbe::Grpc { .. }, _) => AppProtocol::Http2,
        (_, Protocol::Auto) => AppProtocol::Either,
        (_, Protocol::Http1 | Protocol::H2c) => AppProtocol::Http1, // h2c has no TLS
    }
}

/// Decides the health of one endpoint from its results.
#[derive(Debug, Default)]
struct ResultCounter {
    answers: u64,
    /// Consecutive results that contradict the current state.
    in_a_row: u32,
}

impl ResultCounter {
    /// The new state, when this result changes it.
    fn record(&mut self, rules: &HealthCheck, healthy: bool, good: bool) -> Option<bool> {
        self.answers += 1;
        if good == healthy {
            self.in_a_row = 0;
            return None;
        }
        self.in_a_row += 1;
        let enough = match good {
            true => rules.healthy_threshold,
            false if self.answers == 1 => 1,
            false => rules.unhealthy_threshold,
        };
        if self.in_a_row < enough {
            return None;
        }
        self.in_a_row = 0;
        Some(good)
    }
}

#[cfg(test)]
mod tests {
    use outrigger_config::load_str;

    use super::*;

    fn rules() -> HealthCheck {
        let yaml = "upstreams: { u: { endpoints: [{ url: http://a }], healthCheck: { path: / } } }\n\
                    routes: [{ name: r, backendRefs: [u] }]";
        let config = load_str("outrigger.yaml", yaml, &|_: &str| None)
            .unwrap()
            .config;
        config.upstreams[0].health_check.clone().unwrap()
    }

    #[test]
    fn the_first_answer_decides_alone_and_then_it_takes_some_in_a_row() {
        let rules = rules();
        // Results in order (1 is good), and the state after each.
        for (answers, states) in [
            ("1111", "1111"),
            ("0", "0"),
            ("01", "00"),
            ("011", "001"),
            ("0101011", "0000001"),
            ("1000", "1110"),
            ("10010010001011", "11111111100001"),
        ] {
            let (mut counter, mut healthy) = (ResultCounter::default(), true);
            let seen: String = answers
                .chars()
                .map(|answer| {
                    healthy = counter
                        .record(&rules, healthy, answer == '1')
                        .unwrap_or(healthy);
                    if healthy { '1' } else { '0' }
                })
                .collect();
            assert_eq!(seen, states, "{answers}");
        }
    }
}
