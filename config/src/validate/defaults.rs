//! Every default value, each beside its reason.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// The port of the one listener of a file without listeners; unprivileged, and not the app's usual 8080.
pub(crate) const LISTENER_PORT: u16 = 8000;

/// Where the app listens unless the file says otherwise.
pub(crate) const APP_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Probes come from the node's kubelet, so the status server takes every address.
pub(crate) const STATUS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 9902);

/// The admin server can drain and reload, so it never leaves loopback.
pub(crate) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Half of kubelet's usual period of 10 s, so that no probe sees an answer older than its own period.
pub(crate) const READINESS_INTERVAL: Duration = Duration::from_secs(5);

/// The default timeout of a Kubernetes probe.
pub(crate) const READINESS_TIMEOUT: Duration = Duration::from_secs(1);

/// Room for large cookies and tokens; four times nginx's default.
pub(crate) const HEADER_BYTES: u64 = 64 << 10;

/// hyper's own default.
pub(crate) const HEADERS: u64 = 100;

/// As Envoy and HAProxy have it.
pub(crate) const RESPONSE_HEADERS: u64 = 100;

/// Longer than any browser sends.
pub(crate) const TARGET_BYTES: u64 = 16 << 10;

/// One client behind no NAT has no use for more.
pub(crate) const CONNECTIONS_PER_ADDRESS: u64 = 1000;

/// Over the 100 that RFC 9113 section 6.5.2 asks for at least.
pub(crate) const STREAMS: u64 = 128;

/// As long as a request head may take: a handshake is two flights, also over a slow link.
pub(crate) const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Long enough for a slow phone, short enough against slow-header attacks.
pub(crate) const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Long enough for a client on a poor network, short enough against slow bodies.
pub(crate) const BODY_IDLE: Duration = Duration::from_secs(30);

/// Over the 50 to 60 s that load balancers keep connections, so that they close first.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// Within one cluster a connect takes milliseconds; one second is a lost SYN.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Under the 60 s after which most servers close an idle connection.
pub(crate) const UPSTREAM_IDLE: Duration = Duration::from_secs(30);

/// Under the 5 s after which common app servers (Node.js, uvicorn) close an idle connection.
pub(crate) const APP_IDLE: Duration = Duration::from_secs(3);

/// Envoy's default for each of the three limits.
pub(crate) const BREAKER: u64 = 1024;

/// A pod that hangs is found within half a minute, at a cost that nobody notices.
pub(crate) const HEALTH_INTERVAL: Duration = Duration::from_secs(10);

/// The default timeout of a Kubernetes probe.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// One good answer may be luck.
pub(crate) const HEALTHY_THRESHOLD: u64 = 2;

/// The default of a Kubernetes probe.
pub(crate) const UNHEALTHY_THRESHOLD: u64 = 3;

/// Envoy's default: with half of the endpoints gone the others hardly carry twice their load.
pub(crate) const PANIC_PERCENT: u64 = 50;

/// Envoy's default: fewer happen by chance.
pub(crate) const CONSECUTIVE_ERRORS: u64 = 5;

/// Envoy's default; about as long as a pod takes to start again.
pub(crate) const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);

/// Envoy's default.
pub(crate) const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// What is left must carry the load; see [`PANIC_PERCENT`].
pub(crate) const MAX_EJECTION_PERCENT: u64 = 50;

/// One more try takes most of what is passing; more make an outage worse.
pub(crate) const RETRY_ATTEMPTS: u64 = 1;

/// Most bodies of API calls fit; a hundred of them in flight are no burden.
pub(crate) const RETRY_BUFFER: u64 = 64 << 10;

/// Envoy's default.
pub(crate) const RETRY_BASE: Duration = Duration::from_millis(25);

/// Ten times `base`, as in Envoy.
pub(crate) const RETRY_MAX: Duration = Duration::from_millis(250);

/// A fifth, as in Finagle, linkerd and Envoy: a failing upstream gets 1.2 times its load and no more.
pub(crate) const RETRY_BUDGET_PER_MILLION: u32 = 200_000;

/// With little traffic a fifth of it is nothing.
pub(crate) const RETRY_BUDGET_MINIMUM: u64 = 10;

/// The share that is slower than the usual `p95`.
pub(crate) const HEDGE_PER_MILLION: u32 = 50_000;

/// A service beside the app answers in a few milliseconds; clients wait for it.
pub(crate) const EXT_AUTH_TIMEOUT: Duration = Duration::from_millis(200);

/// Envoy waits 20 ms for its rate limit service; redis is often a zone away.
pub(crate) const REDIS_TIMEOUT: Duration = Duration::from_millis(50);

/// A temporary redirect is the one that a wrong rule can be taken back from.
pub(crate) const REDIRECT_STATUS: u64 = 302;

/// A ConfigMap swap is a handful of events within milliseconds.
pub(crate) const RELOAD_DEBOUNCE: Duration = Duration::from_millis(500);

/// For file systems that send no events.
pub(crate) const RELOAD_POLL: Duration = Duration::from_secs(10);

/// Time for endpoints to be taken out of load balancers before connections end.
pub(crate) const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// With the delay and the flush: under Kubernetes' grace period of 30 s.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// stdout is a pipe to the container runtime; a second is plenty unless it stalls.
pub(crate) const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything is logged.
pub(crate) const SAMPLE_PER_MILLION: u32 = 1_000_000;
