//! Metric families, and the table of all of them: the only place that names a metric.
//!
//! The page for Prometheus, the page for OpenMetrics and `docs/metrics.md` are generated from this
//! table. Labels come from the configuration or from closed sets, never from a request
//! (`docs/security.md` 21).

pub(super) struct Family<const LABELS: usize> {
    pub(super) about: About,
    pub(super) labels: [&'static str; LABELS],
}

/// The description of a family, without its labels.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// One sentence, for `# HELP`.
    pub(super) help: &'static str,
    /// Additional documentation: values of labels, links. Markdown.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for docs/metrics.md, which a test writes")
    )]
    pub(super) details: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only increases, from 0 at the start of the process.
    Counter,
    /// A current value.
    Gauge,
    /// Counts by upper bound.
    Histogram,
    /// Always 1; the information is in the labels.
    Info,
}

impl Kind {
    /// The word after `# TYPE`. The text format 0.0.4 has no `info`.
    pub(super) fn as_str(self, open_metrics: bool) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info if open_metrics => "info",
            Self::Gauge | Self::Info => "gauge",
        }
    }
}

impl About {
    /// The name of the family in OpenMetrics, where the suffix belongs to the sample.
    pub(super) fn open_metrics_name(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    /// The unit, which is the last word of the family's name in OpenMetrics.
    pub(super) fn unit(&self) -> Option<&'static str> {
        let last = self.open_metrics_name().rsplit('_').next();
        last.filter(|word| ["seconds", "bytes"].contains(word))
    }
}

/// Declares each family once.
macro_rules! families {
    ($($ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal $details:literal;)*) => {
        $(
            #[doc = $help]
            pub(super) const $ident: Family<{ <[&str]>::len(&[$($label),*]) }> = Family {
                about: About { name: $name, kind: Kind::$kind, help: $help, details: $details },
                labels: [$($label),*],
            };
        )*

        /// Every family with its labels, in the order of the documentation.
        pub(super) const ALL: &[(About, &[&str])] = &[$(($ident.about, &$ident.labels)),*];
    };
}

families! {
    REQUESTS = Counter "outrigger_requests_total" ["listener", "route", "upstream", "status", "flag"]
        "Requests answered, by an upstream or by the proxy itself."
        "`upstream`: the chosen upstream, `none` if the proxy answered before it chose one. `status` and `flag` are those of the access log: 499 and 0 are requests that got no response.";
    REQUEST_DURATION = Histogram "outrigger_request_duration_seconds" ["listener", "route", "upstream"]
        "Time from the request head to the last byte of the response."
        "";
    DOWNSTREAM_REJECTED = Counter "outrigger_downstream_rejected_total" ["reason"]
        "Requests and connections rejected because of what the client sent."
        "`reason` as in the access log.";
    WOULD_DENY = Counter "outrigger_would_deny_total" ["route", "reason"]
        "Requests that a rule in report mode would have rejected."
        "`reason`: the reason that the request would have been rejected for.";
    EXT_AUTH = Counter "outrigger_ext_auth_total" ["route", "result"]
        "Requests to the external authorization service."
        "`result`: `allowed`, `denied`, or `failed` if there was no response.";
    REDIS = Counter "outrigger_redis_requests_total" ["result"]
        "Requests to Redis for shared rate limits."
        "`result`: `ok`, `failed`, `timeout`, or `unavailable` (not sent, because Redis could not be reached a moment ago).";
    MIRRORED = Counter "outrigger_mirrored_requests_total" ["route", "result"]
        "Mirrored requests."
        "`result`: `completed` for any response, `failed`, `dropped` (too many in flight), or `too_large`; the last two were not sent.";
    CONCURRENCY_IN_FLIGHT = Gauge "outrigger_concurrency_in_flight" ["route"]
        "Requests in flight that count against the concurrency limit of the route."
        "";
    CONCURRENCY_QUEUED = Gauge "outrigger_concurrency_queued" ["route"]
        "Requests in the concurrency queue of the route."
        "";
    DOWNSTREAM_CONNECTIONS = Gauge "outrigger_downstream_connections_active" ["listener"]
        "Open client connections."
        "";
    DOWNSTREAM_CONNECTIONS_TOTAL = Counter "outrigger_downstream_connections_total" ["listener"]
        "Client connections accepted."
        "";
    DOWNSTREAM_EVICTIONS = Counter "outrigger_downstream_evictions_total" ["listener", "limit"]
        "Idle client connections closed to make room for new ones."
        "`limit`: the [limit](operations.md#connection-limits) that was reached, `connections_per_address`, `connections` or `descriptors`.";
    DOWNSTREAM_ACCEPT_WAITS = Counter "outrigger_downstream_accept_paused_total" ["listener"]
        "Times that a worker stopped accepting because limits.connections were open and none was idle."
        "";
    TLS_HANDSHAKES = Counter "outrigger_tls_handshakes_total" ["listener", "result", "reason"]
        "TLS handshakes with clients."
        "`result`: `full`, `resumed`, or `failed` with a [reason](#tls-handshake-failures-of-clients).";
    TLS_DISTRUSTED = Counter "outrigger_tls_untrusted_connections_closed_total" ["listener"]
        "Live connections closed because a reload ended the trust in the client certificate."
        "";
    TLS_CERTIFICATE_EXPIRY = Gauge "outrigger_tls_certificate_expiry_timestamp_seconds" ["listener", "file"]
        "Expiry of a server certificate, in seconds since 1970."
        "";
    UPSTREAM_CONNECTS = Counter "outrigger_upstream_connects_total" ["upstream", "result"]
        "Connection attempts to endpoints."
        "`result`: `ok` or `failed`. The service of `extAuth` counts as an upstream of its own.";
    DNS_LOOKUPS = Counter "outrigger_dns_lookups_total" ["upstream", "result"]
        "DNS lookups of upstream names."
        "`result`: `ok`, `not_found`, `timeout` or `failed` ([DNS](operations.md#dns)).";
    UPSTREAM_TLS_HANDSHAKES = Counter "outrigger_upstream_tls_handshakes_total" ["upstream", "result", "reason"]
        "TLS handshakes with endpoints."
        "`result`: `full`, `resumed`, or `failed` with a reason: a word behind `upstream.tls_` in [reasons.md](reasons.md#uf).";
    RETRIES = Counter "outrigger_retries_total" ["upstream", "reason"]
        "Retries."
        "`reason`: why the attempt before failed ([Retries](operations.md#retries)).";
    RETRY_BUDGET_EXHAUSTED = Counter "outrigger_retry_budget_exhausted_total" ["upstream"]
        "Retries not sent because the retry budget was used up."
        "";
    HEDGES = Counter "outrigger_hedges_total" ["upstream", "result"]
        "Hedged attempts, sent beside a slow first attempt."
        "`result`: `won` if the hedged attempt responded first, else `lost`.";
    OUTLIER_EJECTIONS = Counter "outrigger_outlier_ejections_total" ["upstream"]
        "Endpoints ejected by outlier detection."
        "";
    ENDPOINT_EJECTED = Gauge "outrigger_endpoint_ejected" ["upstream", "endpoint"]
        "1 while an endpoint is ejected, else 0."
        "";
    CIRCUIT_BREAKER_REJECTED = Counter "outrigger_circuit_breaker_rejected_total" ["upstream", "limit"]
        "Requests rejected by a circuit breaker."
        "`limit`: `requests` or `pending`.";
    CIRCUIT_BREAKER_IN_USE = Gauge "outrigger_circuit_breaker_in_use" ["upstream", "limit"]
        "Current usage of the limits of a circuit breaker."
        "`limit`: `connections`, `requests`, or `pending` (waiting for a connection).";
    HEALTH_CHECKS = Counter "outrigger_health_checks_total" ["upstream", "result"]
        "Active health checks of endpoints."
        "`result`: `ok` or `failed`.";
    ENDPOINT_HEALTHY = Gauge "outrigger_endpoint_healthy" ["upstream", "endpoint"]
        "1 while the active health check of an endpoint succeeds, else 0."
        "Only for endpoints with `healthCheck`.";
    JWKS_FETCHES = Counter "outrigger_jwks_fetches_total" ["provider", "result"]
        "JWKS fetches."
        "`result`: `ok`, or [what failed](operations.md#jwks-fetching).";
    JWKS_KEYS = Gauge "outrigger_jwks_keys" ["provider"]
        "Keys that tokens of the provider are verified with."
        "";
    JWKS_AGE = Gauge "outrigger_jwks_age_seconds" ["provider"]
        "Time since the keys of the provider were last loaded."
        "Absent before the first load.";
    CONFIG_RELOAD_OK = Gauge "outrigger_config_last_reload_successful" []
        "1 if the last reload was accepted, else 0."
        "";
    CONFIG_GENERATION = Gauge "outrigger_config_generation" []
        "Configurations published since the start; 1 is the first one."
        "";
    CONFIG_RELOADS = Counter "outrigger_config_reloads_total" ["result"]
        "Reloads of the configuration."
        "`result`: `ok` or `failed`.";
    ACCESS_LOG_DROPPED = Counter "outrigger_access_log_dropped_total" []
        "Access log lines dropped because stdout was blocked or closed."
        "";
    LOGS_READ_BYTES = Counter "outrigger_logs_read_bytes_total" ["source"]
        "Bytes of log files read."
        "The `outrigger_logs_` metrics exist while the configuration has `logs` ([Logs](logs.md)).";
    LOGS_READ_LINES = Counter "outrigger_logs_read_lines_total" ["source"]
        "Lines of log files read."
        "";
    LOGS_RECORDS = Counter "outrigger_logs_records_total" ["source", "result"]
        "Records of log files."
        "`result`: `accepted` for all sinks, or `filtered` by `drop` or `keep`.";
    LOGS_PROBLEMS = Counter "outrigger_logs_record_problems_total" ["source", "problem"]
        "Records that are sent with a mark."
        "`problem`: `parse_error`, `bad_timestamp`, `invalid_utf8` or `truncated`.";
    LOGS_REDACTIONS = Counter "outrigger_logs_redactions_total" ["source"]
        "Values and field names that were redacted."
        "";
    LOGS_LOST_BYTES = Counter "outrigger_logs_lost_bytes_total" ["source"]
        "Bytes of files that were deleted before they were read."
        "";
    LOGS_LAG_BYTES = Gauge "outrigger_logs_lag_bytes" ["source"]
        "Bytes of log files that are not read yet."
        "";
    LOGS_LAG_SECONDS = Gauge "outrigger_logs_lag_seconds" ["source"]
        "Time for which there have been bytes that are not read."
        "";
    LOGS_FILES = Gauge "outrigger_logs_files" ["source"]
        "Log files that are followed."
        "";
    LOGS_UNREADABLE_FILES = Gauge "outrigger_logs_unreadable_files" ["source"]
        "Log files and directories that the proxy has no permission to read."
        "";
    LOGS_SENT_RECORDS = Counter "outrigger_logs_sent_records_total" ["sink"]
        "Records that the sink acknowledged."
        "";
    LOGS_SENT_BYTES = Counter "outrigger_logs_sent_bytes_total" ["sink"]
        "Bytes of records that the sink acknowledged."
        "Before compression.";
    LOGS_RETRIES = Counter "outrigger_logs_retries_total" ["sink"]
        "Requests to the sink that failed and were repeated."
        "";
    LOGS_DEAD_LETTERS = Counter "outrigger_logs_dead_letters_total" ["sink"]
        "Records that the sink rejected for good."
        "They are in the [dead-letter file](logs.md#dead-letters).";
    LOGS_DROPPED_RECORDS = Counter "outrigger_logs_dropped_records_total" ["sink"]
        "Records dropped because the buffer was full."
        "Only with `whenFull: dropOldest`.";
    LOGS_SINK_UP = Gauge "outrigger_logs_sink_up" ["sink"]
        "1 if the last request to the sink succeeded, else 0."
        "";
    LOGS_BUFFERED_BYTES = Gauge "outrigger_logs_buffered_bytes" ["place"]
        "Bytes of records that wait for sinks."
        "`place`: `memory` or `disk`.";
    LOGS_BLOCKED = Gauge "outrigger_logs_blocked" []
        "1 while reading waits because the buffer is full, else 0."
        "";
    LOGS_CHECKPOINT_ERRORS = Counter "outrigger_logs_checkpoint_errors_total" []
        "Checkpoints that could not be written."
        "";
    PANICS = Counter "outrigger_panics_total" []
        "Panics, each of which closed one connection."
        "";
    DRAINING = Gauge "outrigger_draining" []
        "1 once a drain has begun, else 0."
        "";
    BUILD_INFO = Info "outrigger_build_info" ["version"]
        "The running version."
        "";
    APP_UP = Gauge "outrigger_app_up" []
        "1 if the app was ready when this page was requested, else 0."
        "Ready as `/readyz` says: by default a TCP connect. Absent without `app`. See [monitoring.md](monitoring.md).";
    APP_UP_SINCE = Gauge "outrigger_app_up_since_timestamp_seconds" []
        "When the app was first seen ready after its last failure, in seconds since 1970."
        "Absent while the app is not ready.";
    APP_RECOVERIES = Counter "outrigger_app_recoveries_total" []
        "Times that the app became ready again after it was not."
        "The first time after the start of the proxy is not counted.";
    APP_LISTENERS = Gauge "outrigger_app_listen_sockets" []
        "Sockets that listen on the app's address."
        "This and all that follows: only with `monitor`, and absent where it cannot be read ([monitoring.md](monitoring.md)).";
    APP_QUEUE = Gauge "outrigger_app_listen_queue_connections" []
        "Connections that wait for the app to accept them."
        "";
    APP_QUEUE_LIMIT = Gauge "outrigger_app_listen_queue_limit_connections" []
        "Connections that may wait for the app to accept them."
        "The backlog of the app, or `net.core.somaxconn` where that is smaller. Absent for a Unix socket, and where `sock_diag` is not available.";
    APP_QUEUE_OVERFLOWS = Counter "outrigger_pod_listen_overflows_total" []
        "Connections dropped because an accept queue was full."
        "Of any socket in the pod's network namespace, since the pod started.";
    APP_CONNECTIONS = Gauge "outrigger_app_connections" ["state"]
        "Connections of the app's address by TCP state."
        "`state`: as `ss` names them, `established`, `close_wait`, `time_wait` and so on. A Unix socket has `established` alone.";
    APP_PROCESSES = Gauge "outrigger_app_processes" []
        "Processes of the app, their descendants included."
        "";
    APP_CPU = Counter "outrigger_app_process_cpu_seconds_total" ["mode"]
        "CPU time of the app's processes, in seconds."
        "`mode`: `user` or `system`. Rises on over restarts; what children used that have ended is in it.";
    APP_RESIDENT = Gauge "outrigger_app_process_resident_memory_bytes" []
        "Resident memory of the app's processes."
        "A page that processes share counts for each.";
    APP_RESIDENT_PEAK = Gauge "outrigger_app_process_resident_memory_peak_bytes" []
        "Sum of the largest resident memory that each of the app's processes has had."
        "";
    APP_THREADS = Gauge "outrigger_app_process_threads" []
        "Threads of the app's processes."
        "";
    APP_OPEN_FDS = Gauge "outrigger_app_process_open_fds" []
        "Open file descriptors of the app's process that is closest to its limit."
        "Absent when the app runs as another user.";
    APP_MAX_FDS = Gauge "outrigger_app_process_max_fds" []
        "The limit on file descriptors of the same process."
        "";
    APP_START_TIME = Gauge "outrigger_app_process_start_time_seconds" []
        "Start of the app's main process, in seconds since 1970."
        "The main process is the oldest one that was selected.";
    APP_RESTARTS = Counter "outrigger_app_process_restarts_total" []
        "Times that another main process took the place of one that had ended."
        "As far as readings saw it: two restarts between two scrapes count once.";
    APP_SWITCHES = Counter "outrigger_app_process_context_switches_total" ["kind"]
        "Context switches of the app's threads."
        "`kind`: `voluntary` or `involuntary`. Absent with more than 1024 threads.";
    CGROUP_MEMORY = Gauge "outrigger_app_cgroup_memory_usage_bytes" ["scope"]
        "Memory that the cgroup uses, page cache included."
        "`scope`, here and below: `container` (the cgroup of the app's main process) or `pod`.";
    CGROUP_WORKING_SET = Gauge "outrigger_app_cgroup_memory_working_set_bytes" ["scope"]
        "Memory that the cgroup uses, without inactive page cache."
        "As the kubelet counts it.";
    CGROUP_MEMORY_LIMIT = Gauge "outrigger_app_cgroup_memory_limit_bytes" ["scope"]
        "Memory limit of the cgroup, or a smaller one above it."
        "Absent without a limit.";
    CGROUP_OOM_KILLS = Counter "outrigger_app_cgroup_oom_kills_total" ["scope"]
        "Processes killed because the memory limit was reached."
        "";
    CGROUP_CPU = Counter "outrigger_app_cgroup_cpu_seconds_total" ["scope"]
        "CPU time of the cgroup, in seconds."
        "";
    CGROUP_CPU_LIMIT = Gauge "outrigger_app_cgroup_cpu_limit_cpus" ["scope"]
        "CPU quota of the cgroup, or a smaller one above it, in CPUs."
        "Absent without a quota.";
    CGROUP_PERIODS = Counter "outrigger_app_cgroup_cpu_periods_total" ["scope"]
        "Periods of the CPU quota in which processes were ready to run."
        "";
    CGROUP_THROTTLED_PERIODS = Counter "outrigger_app_cgroup_cpu_throttled_periods_total" ["scope"]
        "Periods of the CPU quota in which processes were throttled."
        "";
    CGROUP_THROTTLED = Counter "outrigger_app_cgroup_cpu_throttled_seconds_total" ["scope"]
        "Time for which processes were throttled, in seconds."
        "";
    CGROUP_PRESSURE = Counter "outrigger_app_cgroup_pressure_seconds_total" ["scope", "resource", "kind"]
        "Time for which processes waited for a resource (PSI), in seconds."
        "`resource`: `cpu`, `memory` or `io`. `kind`: `some` or `full`, whether some or all processes waited. cgroup v2 alone.";
    APP_SCRAPES = Counter "outrigger_app_scrapes_total" ["result"]
        "Fetches of the app's own page of metrics."
        "`result`: `ok`, or why there is no page: `connect`, `timeout`, `status`, `too_large`, `content_type`, `invalid`, `protocol`, `loop` ([monitoring.md](monitoring.md)). Only with `monitor.scrape`, as the next three.";
    APP_SCRAPE_DURATION = Gauge "outrigger_app_scrape_duration_seconds" []
        "Duration of the fetch for this page, in seconds."
        "";
    APP_SCRAPE_SAMPLES = Gauge "outrigger_app_scrape_samples" []
        "Samples of the app's own page that are part of this page."
        "0 when there is no page.";
    APP_SCRAPE_DROPPED = Gauge "outrigger_app_scrape_families_dropped" []
        "Families of the app's own page left out because the proxy has metrics of these names."
        "";
    CHECK_SUCCESS = Gauge "outrigger_check_success" ["check"]
        "1 if the last check succeeded, else 0."
        "`check`: its name in `monitor.checks`. Absent before the first check has ended.";
    CHECK_DURATION = Gauge "outrigger_check_duration_seconds" ["check"]
        "Duration of the last check, in seconds."
        "";
    CHECK_CERTIFICATE_EXPIRY = Gauge "outrigger_check_certificate_expiry_timestamp_seconds" ["check"]
        "Expiry of the server's certificate, in seconds since 1970."
        "Absent without TLS, and when the last handshake failed.";
    CHECKS = Counter "outrigger_checks_total" ["check", "result"]
        "Checks."
        "`result`: `ok` or `failed`.";
    PUSHES = Counter "outrigger_pushes_total" ["result"]
        "Pages of metrics pushed to a collector."
        "`result`: `ok` or `failed`. Only with `monitor.push`.";
}

/// Upper bounds of [`REQUEST_DURATION`], in seconds.
pub(super) const DURATION_BUCKETS: [f64; 11] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
