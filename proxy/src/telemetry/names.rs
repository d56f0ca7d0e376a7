//! Every metric name, with its unit and labels. Labels come from the configuration or from closed sets, never from
//! a request (security.md 21).

/// Counter; labels `listener`, `route`, `status`, `flag`. Requests answered, also by ourselves.
pub const REQUESTS: &str = "outrigger_requests_total";
/// Histogram in seconds; labels `listener`, `route`. From the whole request head to the last byte of the answer.
pub const REQUEST_DURATION: &str = "outrigger_request_duration_seconds";
/// Counter; label `reason`. Requests and connections refused for what the client sent.
pub const DOWNSTREAM_REJECTED: &str = "outrigger_downstream_rejected_total";
/// Gauge; label `listener`. Open client connections.
pub const DOWNSTREAM_CONNECTIONS: &str = "outrigger_downstream_connections";
/// Counter; label `listener`. Client connections accepted.
pub const DOWNSTREAM_CONNECTIONS_TOTAL: &str = "outrigger_downstream_connections_total";
/// Counter; labels `upstream`, `result` (`ok`, `failed`). Connects to endpoints.
pub const UPSTREAM_CONNECTS: &str = "outrigger_upstream_connects_total";
/// Counter; label `upstream`. Requests sent a second time because the first try provably changed nothing.
pub const UPSTREAM_REPEATS: &str = "outrigger_upstream_repeats_total";
/// Gauge, 0 or 1: whether the last reload was accepted.
pub const CONFIG_RELOAD_OK: &str = "outrigger_config_last_reload_successful";
/// Gauge: 1 at start, one more with every configuration published.
pub const CONFIG_GENERATION: &str = "outrigger_config_generation";
/// Counter; label `result` (`ok`, `failed`). Reloads tried.
pub const CONFIG_RELOADS: &str = "outrigger_config_reloads_total";
/// Counter: access-log lines lost because stdout did not take them.
pub const ACCESS_LOG_DROPPED: &str = "outrigger_access_log_dropped_total";
/// Counter: panics; each ended one connection.
pub const PANICS: &str = "outrigger_panics_total";
/// Gauge, 0 or 1: whether a drain has begun.
pub const DRAINING: &str = "outrigger_draining";
/// Gauge, always 1; label `version`.
pub const BUILD_INFO: &str = "outrigger_build_info";
/// Upper bounds of [`REQUEST_DURATION`], in seconds.
pub const DURATION_BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
