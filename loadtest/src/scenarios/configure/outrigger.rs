//! Outrigger.

use super::super::catalogue::Policy;
use super::{CHECK_INTERVAL, CHECK_TIMEOUT, CONNECT_TIMEOUT, CONSECUTIVE_ERRORS, Wanted, list};
use crate::simulator::CHECK_PATH;

/// Its configuration, as YAML.
pub(in crate::scenarios) fn outrigger(wanted: &Wanted) -> String {
    let settings = wanted.settings;
    let endpoints = list(
        wanted.endpoints().map(|(_, weight, address)| match weight {
            1 => format!("      - {{ url: \"http://{address}\" }}\n"),
            _ => format!("      - {{ url: \"http://{address}\", weight: {weight} }}\n"),
        }),
        "",
    );
    let policy = match settings.policy {
        Policy::RoundRobin => "roundRobin",
        Policy::LeastRequest => "leastRequest",
    };
    let text = format!(
        "version: 1
workers: 1
status: off
admin: off
listeners:
  - {{ name: in, address: \"127.0.0.1:{port}\" }}
upstreams:
  simulated:
    endpoints:
{endpoints}    loadBalancer: {{ policy: {policy} }}
    connections: {{ connectTimeout: {CONNECT_TIMEOUT}ms }}
    retryBudget: {{ percent: 20, minPerSecond: 10 }}
{health}routes:
  - name: all
    matches: [{{ path: / }}]
    timeouts: {{ request: {request}ms, backendRequest: {per_try}ms }}
{retry}{hedge}    backendRefs: [{{ name: simulated }}]
telemetry:
  accessLog: {{ samplePercent: 0 }}
",
        port = wanted.port,
        request = settings.request.as_millis(),
        per_try = settings.per_try.as_millis(),
        health = health(wanted),
        retry = retry(wanted),
        hedge = if settings.hedge.is_some() {
            "    hedge: { after: p95, maxPercent: 5 }\n"
        } else {
            ""
        },
    );
    without(&text, wanted.without)
}

/// The text without these keys and the lines indented under them.
fn without(text: &str, keys: &[String]) -> String {
    let mut under = None;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if under.is_some_and(|under| indent > under) {
            continue;
        }
        let left_out = content
            .split_once(':')
            .is_some_and(|(key, _)| keys.iter().any(|one| one == key));
        under = left_out.then_some(indent);
        if !left_out {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Without health checks, outlier detection (always on) must eject nothing: the maximum percentage
/// is 0.
fn health(wanted: &Wanted) -> String {
    if !wanted.settings.health {
        return "    outlierDetection: { maxEjectionPercent: 0 }\n".to_owned();
    }
    format!(
        "    healthCheck: {{ path: {CHECK_PATH}, interval: {CHECK_INTERVAL}ms, timeout: {CHECK_TIMEOUT}ms, \
         healthyThreshold: 2, unhealthyThreshold: 3 }}
    outlierDetection: {{ consecutiveErrors: {CONSECUTIVE_ERRORS}, baseEjectionTime: 30s, maxEjectionPercent: 50 }}
"
    )
}

fn retry(wanted: &Wanted) -> String {
    let settings = wanted.settings;
    if settings.retries == 0 {
        return String::new();
    }
    format!(
        "    retry:
      attempts: {attempts}
      codes: [{codes}]
      conditions: [connectFailure, refusedStream, reset, timeout]
      backoff: {{ base: 25ms, max: 250ms }}
",
        attempts = settings.retries,
        codes = list(&settings.codes, ", "),
    )
}
