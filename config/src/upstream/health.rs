//! `healthCheck` of an upstream: active health checks of its endpoints.

use std::time::Duration;

use crate::{
    block::{
        At, Flag, Int, Time, block,
        field::{narrow, number, time_over_zero},
        problem::Report,
        show::{Object, text, time},
    },
    part::{path, probe::ReadinessProbe},
};

block! {
    /// Active health checks of the endpoints. Unhealthy endpoints get no requests.
    HealthCheckBlock {
        /// Check with GET on this path: healthy when it returns 200 to 399. Uses HTTP/2 with
        /// `protocol: h2c`, else HTTP/1.1; with `auto` inside TLS, the protocol that the endpoint
        /// selects.
        "path" path: String,
        /// `true`: check with a connect, TLS included if the endpoint uses it.
        "tcp" tcp: Flag,
        /// Check with the gRPC health service: healthy when this service returns SERVING; empty for
        /// the server as a whole.
        "grpc" grpc: String,
        /// Interval between checks of an endpoint, ±10 %, over 0. Default 10s.
        "interval" interval: Time,
        /// From the start of the connect to the complete response, over 0. Default 1s.
        "timeout" timeout: Time,
        /// Successes in a row after which an unhealthy endpoint is healthy, 1 to 100. Default 2.
        "healthyThreshold" healthy_threshold: Int<1, 100>,
        /// Failures in a row after which a healthy endpoint is unhealthy, 1 to 100; for a new
        /// endpoint the first failure is enough. Default 3.
        "unhealthyThreshold" unhealthy_threshold: Int<1, 100>,
    }
    one_of ["path", "tcp", "grpc"]
}

/// Active health checks of the endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// The kind of check.
    pub probe: ReadinessProbe,
    /// Interval between checks. Default 10 s.
    pub interval: Duration,
    /// From the start of the connect to the complete response. Default 1 s.
    pub timeout: Duration,
    /// Successes in a row after which an unhealthy endpoint is healthy. Default 2.
    pub healthy_threshold: u32,
    /// Failures in a row after which a healthy endpoint is unhealthy. Default 3.
    pub unhealthy_threshold: u32,
}

/// A hanging pod is detected within half a minute, at negligible cost.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);

/// The default timeout of a Kubernetes probe.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// A single success may be chance.
const HEALTHY_THRESHOLD: u64 = 2;

/// The default of a Kubernetes probe.
const UNHEALTHY_THRESHOLD: u64 = 3;

/// Validates the kind of check.
pub(crate) fn accept(block: &At<HealthCheckBlock>, report: &mut Report) -> HealthCheck {
    let block = &block.value;
    let probe = if let Some(target) = &block.path {
        path::target(target, report);
        ReadinessProbe::Http {
            path: target.value.clone(),
        }
    } else if let Some(service) = &block.grpc {
        ReadinessProbe::Grpc {
            service: service.value.clone(),
        }
    } else {
        if let Some(tcp) = block.tcp.as_ref().filter(|tcp| !tcp.value.0) {
            let help = "write `tcp: true`, or remove `healthCheck`";
            report.error(
                &tcp.place,
                "bad-value",
                "`tcp: false` configures no check",
                help,
            );
        }
        ReadinessProbe::Connect
    };
    HealthCheck {
        probe,
        interval: time_over_zero(&block.interval, HEALTH_INTERVAL, report),
        timeout: time_over_zero(&block.timeout, HEALTH_TIMEOUT, report),
        healthy_threshold: narrow(number(&block.healthy_threshold, HEALTHY_THRESHOLD)),
        unhealthy_threshold: narrow(number(&block.unhealthy_threshold, UNHEALTHY_THRESHOLD)),
    }
}

/// Renders the accepted value.
pub(crate) fn show(check: &HealthCheck) -> Object {
    let object = match &check.probe {
        ReadinessProbe::Connect => Object::new().with("tcp", true),
        ReadinessProbe::Http { path } => Object::new().with("path", text(path)),
        ReadinessProbe::Grpc { service } => Object::new().with("grpc", text(service)),
    };
    object
        .with("interval", time(check.interval))
        .with("timeout", time(check.timeout))
        .with("healthyThreshold", check.healthy_threshold)
        .with("unhealthyThreshold", check.unhealthy_threshold)
}
