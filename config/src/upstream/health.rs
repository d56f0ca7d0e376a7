//! `healthCheck` of an upstream: how endpoints are asked whether they are well.

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
    /// How endpoints are asked whether they are well. One that is not gets no requests.
    HealthCheckBlock {
        /// Well when GET on this path answers 200 to 399, over HTTP/2 with `protocol: h2c`, else over HTTP/1.1; with `auto` inside TLS over what the endpoint chooses.
        "path" path: String,
        /// `true`: well when a connection can be made, TLS included where it is spoken.
        "tcp" tcp: Flag,
        /// Well when the gRPC health check of this service answers SERVING; empty for the server as a whole.
        "grpc" grpc: String,
        /// How often each endpoint is asked, give or take a tenth, over 0. Default 10s.
        "interval" interval: Time,
        /// From the start of the connect to the whole answer, over 0. Default 1s.
        "timeout" timeout: Time,
        /// Good answers in a row that bring an endpoint back, 1 to 100. Default 2.
        "healthyThreshold" healthy_threshold: Int<1, 100>,
        /// Bad answers in a row that take an endpoint out, 1 to 100; the very first answer alone does. Default 3.
        "unhealthyThreshold" unhealthy_threshold: Int<1, 100>,
    }
    one_of ["path", "tcp", "grpc"]
}

/// How endpoints are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// What is asked.
    pub probe: ReadinessProbe,
    /// How often. Default 10 s.
    pub interval: Duration,
    /// From the start of the connect to the whole answer. Default 1 s.
    pub timeout: Duration,
    /// Good answers in a row that bring an unhealthy endpoint back. Default 2.
    pub healthy_threshold: u32,
    /// Bad ones in a row that take a healthy one out. Default 3.
    pub unhealthy_threshold: u32,
}

/// A pod that hangs is found within half a minute, at a cost that nobody notices.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);

/// The default timeout of a Kubernetes probe.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// One good answer may be luck.
const HEALTHY_THRESHOLD: u64 = 2;

/// The default of a Kubernetes probe.
const UNHEALTHY_THRESHOLD: u64 = 3;

/// What endpoints are asked.
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
            report.error(&tcp.place, "bad-value", "nothing is asked then", help);
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

/// Shows what was accepted.
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
