//! Upstreams.

use serde_json::Value;

use crate::{
    block::show::{Object, word},
    model::{SecretText, Upstream, UpstreamKind},
    render::{provider, tls},
    upstream::{balance, breaker, connections, dns, endpoint, health, limits, outlier, retry_budget},
};

/// The upstream and its name; `None` for the app, which has a block of its own.
pub(crate) fn upstream(upstream: &Upstream) -> Option<(String, Value)> {
    if upstream.kind == UpstreamKind::App {
        return None;
    }
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let endpoints: Vec<Value> = upstream.endpoints.iter().map(|one| endpoint::show(scheme, one)).collect();
    let object = Object::new()
        .maybe("endpoints", upstream.dns.is_none().then_some(endpoints))
        .maybe("dns", upstream.dns.as_ref().map(dns::show))
        .with("protocol", word(upstream.protocol))
        .maybe("tls", upstream.tls.as_deref().map(tls::client))
        .maybe("credentials", upstream.bearer_token.as_ref().map(credentials))
        .with("loadBalancer", balance::show(&upstream.load_balancer))
        .maybe("circuitBreaker", upstream.circuit_breaker.as_ref().map(breaker::show))
        .maybe("healthCheck", upstream.health_check.as_ref().map(health::show))
        .maybe("outlierDetection", upstream.outlier_detection.as_ref().map(outlier::show))
        .with("connections", connections::show(&upstream.connections))
        .with("limits", limits::show(upstream.limits))
        .with("retryBudget", retry_budget::show(&upstream.retry_budget));
    Some((upstream.name.to_string(), object.into()))
}

fn credentials(token: &SecretText) -> Object {
    Object::new().with("bearerToken", provider::origin(token.origin()))
}
