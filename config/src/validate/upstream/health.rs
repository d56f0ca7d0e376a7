//! `healthCheck` of an upstream.

use crate::{
    block::{
        At,
        field::{narrow, number, time_over_zero},
        problem::Report,
    },
    model::{HealthCheck, ReadinessProbe},
    part::path,
    schema::HealthCheckBlock,
    validate::defaults,
};

/// What endpoints are asked.
pub(crate) fn health_check(block: &At<HealthCheckBlock>, report: &mut Report) -> HealthCheck {
    let block = &block.value;
    let probe = if let Some(target) = &block.path {
        path::target(target, report);
        ReadinessProbe::Http { path: target.value.clone() }
    } else if let Some(service) = &block.grpc {
        ReadinessProbe::Grpc { service: service.value.clone() }
    } else {
        if let Some(tcp) = block.tcp.as_ref().filter(|tcp| !tcp.value.0) {
            let help = "write `tcp: true`, or remove `healthCheck`";
            report.error(&tcp.place, "bad-value", "nothing is asked then", help);
        }
        ReadinessProbe::Connect
    };
    HealthCheck {
        probe,
        interval: time_over_zero(&block.interval, defaults::HEALTH_INTERVAL, report),
        timeout: time_over_zero(&block.timeout, defaults::HEALTH_TIMEOUT, report),
        healthy_threshold: narrow(number(&block.healthy_threshold, defaults::HEALTHY_THRESHOLD)),
        unhealthy_threshold: narrow(number(&block.unhealthy_threshold, defaults::UNHEALTHY_THRESHOLD)),
    }
}
