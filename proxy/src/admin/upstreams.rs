//! The state of upstreams and their endpoints, for `GET /status`.

use std::{sync::Arc, time::Duration};

use outrigger_config::model::DnsKind;
use outrigger_transport::address::LastLookup;
use serde_json::{Map, Value, json};

use crate::upstream::{
    clock,
    endpoint::Endpoint,
    outlier::Ejection,
    registry::{EndpointSet, Upstream},
};

/// Each upstream by its name.
pub(super) fn upstreams(upstreams: &[Arc<Upstream>]) -> Value {
    upstreams
        .iter()
        .map(|one| (one.model.name.to_string(), upstream(one)))
        .collect::<Map<_, _>>()
        .into()
}

fn upstream(upstream: &Upstream) -> Value {
    let set = upstream.set();
    let mut object = Map::new();
    if let Some(named) = &upstream.model.dns {
        let kind = match named.kind {
            DnsKind::Addresses { .. } => "A",
            DnsKind::Services => "SRV",
        };
        let mut dns = lookup(&upstream.lookup);
        dns.insert("name".to_owned(), json!(&*named.name));
        dns.insert("type".to_owned(), json!(kind));
        object.insert("dns".to_owned(), dns.into());
    }
    if let Some([connections, requests, pending]) =
        upstream.breaker.as_ref().map(|one| one.in_use())
    {
        let in_use =
            json!({ "connections": connections, "requests": requests, "pending": pending });
        object.insert("inUse".to_owned(), in_use);
    }
    object.insert("endpoints".to_owned(), endpoints(upstream, &set).into());
    object.into()
}

fn endpoints(upstream: &Upstream, set: &EndpointSet) -> Vec<Value> {
    let each = set.endpoints.iter().zip(&set.weights);
    each.map(|(one, weight)| endpoint(upstream, one, *weight))
        .collect()
}

fn endpoint(upstream: &Upstream, endpoint: &Endpoint, weight: u32) -> Value {
    let now = clock::micros();
    let mut object = Map::new();
    let mut insert = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    insert("endpoint", json!(&*endpoint.address.label));
    insert("weight", json!(weight));
    insert("inFlight", json!(endpoint.in_flight()));
    insert("connections", json!(endpoint.connections()));
    if upstream.model.health_check.is_some() {
        insert("healthy", json!(endpoint.is_healthy()));
    }
    if upstream.model.outlier_detection.is_some() {
        insert(
            "ejected",
            endpoint
                .outlier
                .ejection(now)
                .map_or(Value::Null, |ejection| ejected(&ejection)),
        );
    }
    if let Some(window) = upstream.model.load_balancer.slow_start {
        let warmth = endpoint.warmth(window.as_micros() as u64, || now);
        insert("slowStartPercent", json!((warmth * 100.0).round()));
    }
    if endpoint.address.needs_dns() {
        let mut dns = lookup(&endpoint.address.lookup);
        dns.insert("addresses".to_owned(), json!(endpoint.address.addresses()));
        insert("dns", dns.into());
    }
    object.into()
}

fn ejected(ejection: &Ejection) -> Value {
    match ejection.left {
        Some(left) => json!({ "remainingSeconds": seconds(left), "ejections": ejection.times }),
        None => json!({ "probing": true, "ejections": ejection.times }),
    }
}

fn lookup(last: &LastLookup) -> Map<String, Value> {
    let last = last.read();
    let mut object = Map::new();
    if let Some((at, good)) = last.answer {
        object.insert(
            "lastSuccessAgeSeconds".to_owned(),
            json!(seconds(at.elapsed())),
        );
        object.insert("ttlSeconds".to_owned(), json!(seconds(good)));
    }
    if let Some(failure) = last.failure {
        object.insert("failure".to_owned(), json!(failure));
    }
    object
}

/// Seconds, rounded to three decimals.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1_000.0
}
