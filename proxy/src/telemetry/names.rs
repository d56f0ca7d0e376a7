//! Every metric name, with its unit and labels. Labels come from the configuration or from closed sets, never from
//! a request (`docs/security.md` 21).

/// Counter; labels `listener`, `route`, `upstream`, `status`, `flag`. Requests answered, also by ourselves.
pub(crate) const REQUESTS: &str = "outrigger_requests_total";
/// Histogram in seconds; labels `listener`, `route`, `upstream`. From the whole request head to the last byte of the answer.
pub(crate) const REQUEST_DURATION: &str = "outrigger_request_duration_seconds";
/// Counter; label `reason`. Requests and connections refused for what the client sent.
pub(crate) const DOWNSTREAM_REJECTED: &str = "outrigger_downstream_rejected_total";
/// Counter; labels `route`, `result` (`allowed`, `denied`, `failed`). Questions to the service of `extAuth`.
pub(crate) const EXT_AUTH: &str = "outrigger_ext_auth_total";
/// Counter; labels `route`, `reason`. Requests that `mode: report` let through.
pub(crate) const WOULD_DENY: &str = "outrigger_would_deny_total";
/// Counter; label `result` (`ok`, `failed`, `timeout`, `unavailable`). Questions to redis about shared rate limits.
pub(crate) const REDIS: &str = "outrigger_redis_questions_total";
/// Counter; labels `route`, `result` (`answered`, `failed`, `dropped`, `too_large`). Copies of requests.
pub(crate) const MIRRORED: &str = "outrigger_mirrored_requests_total";
/// Gauge; label `route`. Requests that have a place of the route's `concurrency`.
pub(crate) const CONCURRENCY_IN_FLIGHT: &str = "outrigger_concurrency_in_flight";
/// Gauge; label `route`. Requests that wait for one.
pub(crate) const CONCURRENCY_WAITING: &str = "outrigger_concurrency_waiting";
/// Gauge; label `listener`. Open client connections.
pub(crate) const DOWNSTREAM_CONNECTIONS: &str = "outrigger_downstream_connections";
/// Counter; label `listener`. Client connections accepted.
pub(crate) const DOWNSTREAM_CONNECTIONS_TOTAL: &str = "outrigger_downstream_connections_total";
/// Counter; labels `listener`, `limit` (`connections`, `connections_per_address`, `descriptors`). Idle connections closed for new ones.
pub(crate) const DOWNSTREAM_EVICTIONS: &str = "outrigger_downstream_evictions_total";
/// Counter; label `listener`. Times that a worker waited with accept: `limits.connections` were open, and none was idle.
pub(crate) const DOWNSTREAM_ACCEPT_WAITS: &str = "outrigger_downstream_accept_waits_total";
/// Counter; labels `listener`, `result` (`full`, `resumed`, `failed`), `reason`. TLS handshakes.
pub(crate) const TLS_HANDSHAKES: &str = "outrigger_tls_handshakes_total";
/// Counter; label `listener`. Live connections ended because a reload does not believe their client any more.
pub(crate) const TLS_DISTRUSTED: &str = "outrigger_tls_distrusted_connections_total";
/// Gauge in seconds since 1970; labels `listener`, `file`. When a certificate that is shown to clients expires.
pub(crate) const TLS_CERTIFICATE_EXPIRY: &str =
    "outrigger_tls_certificate_expiry_timestamp_seconds";
/// Counter; labels `upstream`, `result` (`ok`, `failed`). Connects to endpoints.
pub(crate) const UPSTREAM_CONNECTS: &str = "outrigger_upstream_connects_total";
/// Counter; labels `upstream`, `result` (`ok`, `not_found`, `timeout`, `failed`). Lookups of names in DNS.
pub(crate) const DNS_LOOKUPS: &str = "outrigger_dns_lookups_total";
/// Counter; labels `upstream`, `result` (`full`, `resumed`, `failed`), `reason`. TLS handshakes with endpoints.
pub(crate) const UPSTREAM_TLS_HANDSHAKES: &str = "outrigger_upstream_tls_handshakes_total";
/// Counter; labels `upstream`, `reason` (why the try before failed). Requests sent once more.
pub(crate) const RETRIES: &str = "outrigger_retries_total";
/// Counter; label `upstream`. Requests not sent once more, because `retryBudget` was used up.
pub(crate) const RETRY_BUDGET_EXHAUSTED: &str = "outrigger_retry_budget_exhausted_total";
/// Counter; labels `upstream`, `result` (`won`, `lost`: whether the second try was the first to answer). Second tries of `hedge`.
pub(crate) const HEDGES: &str = "outrigger_hedges_total";
/// Counter; label `upstream`. Endpoints ejected because they failed again and again.
pub(crate) const OUTLIER_EJECTIONS: &str = "outrigger_outlier_ejections_total";
/// Gauge, 0 or 1; labels `upstream`, `endpoint`. Whether an endpoint is ejected.
pub(crate) const ENDPOINT_EJECTED: &str = "outrigger_endpoint_ejected";
/// Counter; labels `upstream`, `limit` (`requests`, `pending`). Requests refused by a circuit breaker.
pub(crate) const UPSTREAM_OVERFLOWS: &str = "outrigger_upstream_overflows_total";
/// Gauge; labels `upstream`, `limit` (`connections`, `requests`, `pending`). What counts against a circuit breaker.
pub(crate) const UPSTREAM_IN_USE: &str = "outrigger_upstream_in_use";
/// Counter; labels `upstream`, `result` (`ok`, `failed`). Questions to endpoints whether they are well.
pub(crate) const HEALTH_CHECKS: &str = "outrigger_health_checks_total";
/// Gauge, 0 or 1; labels `upstream`, `endpoint`. Whether an endpoint that is asked is healthy.
pub(crate) const ENDPOINT_HEALTHY: &str = "outrigger_endpoint_healthy";
/// Counter; labels `provider`, `result` (`ok`, or what failed). Fetches of a token provider's keys.
pub(crate) const JWKS_FETCHES: &str = "outrigger_jwks_fetches_total";
/// Gauge; label `provider`. Keys that tokens are verified with.
pub(crate) const JWKS_KEYS: &str = "outrigger_jwks_keys";
/// Gauge in seconds; label `provider`. Since keys were last loaded; absent before the first time.
pub(crate) const JWKS_AGE: &str = "outrigger_jwks_age_seconds";
/// Gauge, 0 or 1: whether the last reload was accepted.
pub(crate) const CONFIG_RELOAD_OK: &str = "outrigger_config_last_reload_successful";
/// Gauge: 1 at start, one more with every configuration published.
pub(crate) const CONFIG_GENERATION: &str = "outrigger_config_generation";
/// Counter; label `result` (`ok`, `failed`). Reloads tried.
pub(crate) const CONFIG_RELOADS: &str = "outrigger_config_reloads_total";
/// Counter: access-log lines lost because stdout did not take them.
pub(crate) const ACCESS_LOG_DROPPED: &str = "outrigger_access_log_dropped_total";
/// Counter: panics; each ended one connection.
pub(crate) const PANICS: &str = "outrigger_panics_total";
/// Gauge, 0 or 1: whether a drain has begun.
pub(crate) const DRAINING: &str = "outrigger_draining";
/// Gauge, always 1; label `version`.
pub(crate) const BUILD_INFO: &str = "outrigger_build_info";
/// Upper bounds of [`REQUEST_DURATION`], in seconds.
pub(crate) const DURATION_BUCKETS: [f64; 11] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
