//! Upstreams and their endpoints.

pub(crate) mod credentials;

use std::sync::Arc;

use crate::{
    app::{App, AppAddress},
    block::{At, Entries, field::word, name, problem::Report},
    files::Files,
    model::{ClientTls, Upstream, UpstreamKind},
    part::url::{EndpointAddress, EndpointSpec},
    schema::UpstreamBlock,
    upstream::{
        balance, breaker, connections, dns, endpoint, health, limits, outlier, protocol::Protocol,
        retry_budget,
    },
    validate::tls,
};

/// All upstreams: the app first, then in file order.
pub(crate) fn upstreams(
    app: Option<&App>,
    written: Option<&At<Entries<UpstreamBlock>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = app.map(app_upstream).into_iter().collect();
    let Some(written) = written else { return upstreams };
    if written.value.0.is_empty() {
        let help = "add an upstream or remove the key";
        report.error(&written.place, "empty-list", "there is no upstream", help);
    }
    for (key, block) in &written.value.0 {
        name::check(&key.value, &key.place, report);
        name::not_reserved(&key.value, &key.place, report);
        upstreams.push(upstream(&key.value, &block.value, files, report));
    }
    upstreams
}

fn app_upstream(app: &App) -> Upstream {
    let (address, authority) = match &app.address {
        AppAddress::Tcp(socket) => (EndpointAddress::Socket(*socket), socket.to_string()),
        AppAddress::Unix(path) => (EndpointAddress::Unix(path.clone()), "localhost".to_owned()),
    };
    Upstream {
        name: "app".into(),
        kind: UpstreamKind::App,
        endpoints: vec![EndpointSpec { address, authority: authority.into(), weight: 1 }],
        dns: None,
        protocol: app.protocol,
        tls: None,
        bearer_token: None,
        load_balancer: balance::least_request(),
        circuit_breaker: None,
        health_check: None,
        outlier_detection: None,
        connections: connections::of_app(),
        limits: app.limits,
        retry_budget: retry_budget::accept(None),
    }
}

fn upstream(name: &str, block: &UpstreamBlock, files: &mut Files<'_>, report: &mut Report) -> Upstream {
    let written = block.endpoints.as_ref();
    if let Some(empty) = written.filter(|endpoints| endpoints.value.is_empty()) {
        let help = "write `- url: http://host:port`";
        report.error(&empty.place, "empty-list", "an upstream needs at least one endpoint", help);
    }
    let items = written.map_or(&[][..], |endpoints| &endpoints.value);
    let (endpoints, secure) = match block.dns {
        // No URL says it.
        Some(_) => (Vec::new(), Some(block.tls.is_some())),
        None => endpoint::accept(items, report),
    };
    let tls = tls(block, secure, files, report);
    let named = block.dns.as_ref();
    let known = block.dns.is_none().then_some(items.len());
    let outliers = block.outlier_detection.as_ref();
    Upstream {
        name: name.into(),
        kind: UpstreamKind::External,
        bearer_token: credentials::bearer_token(block, &endpoints, secure, files, report),
        endpoints,
        dns: named.and_then(|named| dns::accept(&named.value, tls.as_deref(), report)),
        protocol: word(&block.protocol, Protocol::Auto),
        tls,
        load_balancer: balance::accept(block.load_balancer.as_ref(), report),
        circuit_breaker: Some(breaker::accept(block.circuit_breaker.as_ref())),
        health_check: block.health_check.as_ref().map(|check| health::accept(check, report)),
        outlier_detection: Some(outlier::accept(outliers, known, report)),
        connections: connections::accept(block.connections.as_ref(), report),
        limits: limits::accept(block.limits.as_ref()),
        retry_budget: retry_budget::accept(block.retry_budget.as_ref()),
    }
}

fn tls(
    block: &UpstreamBlock,
    secure: Option<bool>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Arc<ClientTls>> {
    let read = block.tls.as_ref().map(|tls| tls::client::client(&tls.value, files, report));
    let written = block.tls.as_ref().map(|tls| &tls.place);
    match (secure, written) {
        (Some(false), Some(place)) => {
            let message = "`tls` has no effect on endpoints whose URLs begin with http";
            report.error(place, "conflicting-keys", message, "remove it, or write https:// in the URLs");
            None
        }
        (Some(true), _) => {
            let h2c = block.protocol.as_ref().filter(|protocol| protocol.value.0 == Protocol::H2c);
            if let Some(protocol) = h2c {
                let message = "h2c is HTTP/2 without TLS";
                let help = "write `auto` (HTTP/1.1, and HTTP/2 for gRPC requests), or http:// in the URLs";
                report.error(&protocol.place, "conflicting-keys", message, help);
            }
            Some(Arc::new(read.unwrap_or_default()))
        }
        _ => None,
    }
}
