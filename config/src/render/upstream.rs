//! Upstreams.

use serde_json::Value;

use crate::{
    block::show::{Object, text, time, time_or_off, word},
    model::{
        CircuitBreaker, ConnectionSettings, DnsKind, HashOn, HealthCheck, LoadBalancer, NamedEndpoints,
        OutlierDetection, ReadinessProbe, SecretText, Upstream, UpstreamKind, UpstreamLimits,
    },
    part::url::EndpointSpec,
    render::{provider, retry, tls},
};

/// The upstream and its name; `None` for the app, which has a block of its own.
pub(crate) fn upstream(upstream: &Upstream) -> Option<(String, Value)> {
    if upstream.kind == UpstreamKind::App {
        return None;
    }
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let endpoints: Vec<Value> = upstream.endpoints.iter().map(|one| endpoint(scheme, one)).collect();
    let ConnectionSettings { connect_timeout, idle_timeout, max_age } = &upstream.connections;
    let object = Object::new()
        .maybe("endpoints", upstream.dns.is_none().then_some(endpoints))
        .maybe("dns", upstream.dns.as_ref().map(dns))
        .with("protocol", word(upstream.protocol))
        .maybe("tls", upstream.tls.as_deref().map(tls::client))
        .maybe("credentials", upstream.bearer_token.as_ref().map(credentials))
        .with("loadBalancer", load_balancer(&upstream.load_balancer))
        .maybe("circuitBreaker", upstream.circuit_breaker.as_ref().map(circuit_breaker))
        .maybe("healthCheck", upstream.health_check.as_ref().map(health_check))
        .maybe("outlierDetection", upstream.outlier_detection.as_ref().map(outlier_detection))
        .with(
            "connections",
            Object::new()
                .with("connectTimeout", time(*connect_timeout))
                .with("idleTimeout", time(*idle_timeout))
                .with("maxAge", time_or_off(*max_age)),
        )
        .with("limits", limits(upstream.limits))
        .with("retryBudget", retry::budget(&upstream.retry_budget));
    Some((upstream.name.to_string(), object.into()))
}

pub(crate) fn limits(limits: UpstreamLimits) -> Object {
    Object::new().with("headers", limits.headers)
}

fn dns(named: &NamedEndpoints) -> Object {
    let object = Object::new().with("name", text(&named.name));
    match named.kind {
        DnsKind::Addresses { port } => object.with("port", port).with("type", "A"),
        DnsKind::Services => object.with("type", "SRV"),
    }
}

fn credentials(token: &SecretText) -> Object {
    Object::new().with("bearerToken", provider::origin(token.origin()))
}

fn endpoint(scheme: &str, endpoint: &EndpointSpec) -> Value {
    let url = format!("{scheme}://{}", endpoint.authority);
    Object::new().with("url", url).with("weight", endpoint.weight).into()
}

fn load_balancer(balancer: &LoadBalancer) -> Object {
    Object::new()
        .with("policy", word(balancer.policy))
        .maybe("hashOn", balancer.hash_on.as_ref().map(hash_on))
        .maybe("slowStart", balancer.slow_start.map(time))
        .with("panicPercent", balancer.panic_percent)
}

pub(crate) fn hash_on(on: &HashOn) -> Value {
    match on {
        HashOn::Header(name) => Object::new().with("header", name.as_str()).into(),
        HashOn::Cookie(name) => Object::new().with("cookie", text(name)).into(),
        HashOn::ClientIp => "clientIP".into(),
    }
}

fn circuit_breaker(limits: &CircuitBreaker) -> Object {
    Object::new()
        .with("maxConnections", limits.max_connections)
        .with("maxRequests", limits.max_requests)
        .with("maxPendingRequests", limits.max_pending_requests)
}

fn health_check(check: &HealthCheck) -> Object {
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

fn outlier_detection(rules: &OutlierDetection) -> Object {
    Object::new()
        .with("consecutiveErrors", rules.consecutive_errors)
        .with("baseEjectionTime", time(rules.base_ejection_time))
        .with("maxEjectionTime", time(rules.max_ejection_time))
        .with("maxEjectionPercent", rules.max_ejection_percent)
}
