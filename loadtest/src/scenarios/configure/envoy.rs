//! Envoy: retries to another host within a retry budget, health checks, outlier detection, and
//! hedging after a fixed time, because it does not measure one. A separate route prevents retries
//! of POST.

use super::super::catalogue::Policy;
use super::{CHECK_INTERVAL, CHECK_TIMEOUT, CONNECT_TIMEOUT, CONSECUTIVE_ERRORS, Wanted, list};
use crate::simulator::CHECK_PATH;

/// Its bootstrap, as YAML.
pub(in crate::scenarios) fn envoy(wanted: &Wanted) -> String {
    let settings = wanted.settings;
    let policy = match settings.policy {
        Policy::RoundRobin => "ROUND_ROBIN",
        Policy::LeastRequest => "LEAST_REQUEST",
    };
    let endpoints = list(
        wanted.endpoints().map(|(_, weight, address)| {
            format!(
                "        - {{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}, \
                 load_balancing_weight: {weight}}}\n",
                address.ip(),
                address.port()
            )
        }),
        "",
    );
    let limit = format!("timeout: {}", seconds(settings.request));
    format!(
        "static_resources:
  listeners:
  - name: in
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
         HttpConnectionManager
          stat_prefix: in
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
              - match: {{prefix: /, headers: [{{name: \":method\", string_match: {{exact: POST}}}}]}}
                route: {{cluster: simulated, {limit}}}
              - match: {{prefix: /}}
                route:
                  cluster: simulated
                  {limit}
{retry}          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: simulated
    type: STATIC
    connect_timeout: 0.{CONNECT_TIMEOUT:03}s
    lb_policy: {policy}
{health}    circuit_breakers:
      thresholds:
      - max_connections: 1024
        max_pending_requests: 1024
        max_requests: 1024
        retry_budget: {{budget_percent: {{value: 20}}, min_retry_concurrency: 3}}
    load_assignment:
      cluster_name: simulated
      endpoints:
      - lb_endpoints:
{endpoints}",
        port = wanted.port,
        retry = retry(wanted),
        health = health(wanted),
    )
}

fn health(wanted: &Wanted) -> String {
    if !wanted.settings.health {
        return String::new();
    }
    format!(
        "    health_checks:
    - {{timeout: 0.{CHECK_TIMEOUT:03}s, interval: {interval}s, no_traffic_interval: {interval}s, \
         healthy_threshold: 2, unhealthy_threshold: 3, http_health_check: {{path: {CHECK_PATH}}}}}
    outlier_detection:
      consecutive_5xx: {CONSECUTIVE_ERRORS}
      interval: 1s
      base_ejection_time: 30s
      max_ejection_percent: 50
",
        interval = f64::from(CHECK_INTERVAL) / 1e3,
    )
}

fn retry(wanted: &Wanted) -> String {
    let settings = wanted.settings;
    if settings.retries == 0 {
        return String::new();
    }
    let (per_try, hedge) = match settings.hedge {
        Some(hedge) => (
            hedge.p95,
            "                  hedge_policy: {hedge_on_per_try_timeout: true}\n",
        ),
        None => (settings.per_try, ""),
    };
    format!(
        "                  retry_policy:
                    retry_on: connect-failure,refused-stream,reset,retriable-status-codes
                    retriable_status_codes: [{codes}]
                    num_retries: {retries}
                    per_try_timeout: {per_try}
                    retry_back_off: {{base_interval: 0.025s, max_interval: 0.25s}}
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.\
         PreviousHostsPredicate}}
                    host_selection_retry_max_attempts: 3
{hedge}",
        codes = list(&settings.codes, ", "),
        retries = settings.retries,
        per_try = seconds(per_try),
    )
}

fn seconds(duration: std::time::Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
