//! Upstreams and their endpoints.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod credentials;
pub(crate) mod dns;
pub(crate) mod health;
pub(crate) mod outlier;

pub(crate) use balance::hash_on;

use std::{sync::Arc, time::Duration};

use crate::{
    block::{
        At, Entries,
        field::{narrow, number, time_or_off, time_over_zero, word},
        name,
        problem::Report,
    },
    files::Files,
    model::{
        App, AppAddress, ClientTls, ConnectionSettings, Protocol, Upstream, UpstreamKind, UpstreamLimits,
    },
    part::url::{self, EndpointAddress, EndpointSpec},
    schema::{ConnectionsBlock, EndpointBlock, UpstreamBlock, UpstreamLimitsBlock},
    validate::{defaults, retry, tls},
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
        connections: ConnectionSettings {
            connect_timeout: defaults::CONNECT_TIMEOUT,
            idle_timeout: defaults::APP_IDLE,
            max_age: None,
        },
        limits: app.limits,
        retry_budget: retry::budget(None),
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
        None => endpoints(items, report),
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
        dns: named.and_then(|named| dns::named(&named.value, tls.as_deref(), report)),
        protocol: word(&block.protocol, Protocol::Auto),
        tls,
        load_balancer: balance::load_balancer(block.load_balancer.as_ref(), report),
        circuit_breaker: Some(breaker::circuit_breaker(block.circuit_breaker.as_ref())),
        health_check: block.health_check.as_ref().map(|check| health::health_check(check, report)),
        outlier_detection: Some(outlier::outlier_detection(outliers, known, report)),
        connections: connections(block.connections.as_ref(), defaults::UPSTREAM_IDLE, report),
        limits: limits(block.limits.as_ref()),
        retry_budget: retry::budget(block.retry_budget.as_ref()),
    }
}

/// Checks what an endpoint may send.
pub(crate) fn limits(block: Option<&At<UpstreamLimitsBlock>>) -> UpstreamLimits {
    let headers = block.and_then(|block| block.value.headers.as_ref());
    UpstreamLimits { headers: headers.map_or(defaults::RESPONSE_HEADERS, |number| number.value.0) as u16 }
}

/// What the endpoints are, and whether TLS is spoken to them; unknown when none of them could be read.
fn endpoints(items: &[At<EndpointBlock>], report: &mut Report) -> (Vec<EndpointSpec>, Option<bool>) {
    let mut endpoints = Vec::with_capacity(items.len());
    let mut all: Option<bool> = None;
    for item in items {
        let Some((endpoint, secure)) = endpoint(&item.value, report) else { continue };
        if *all.get_or_insert(secure) != secure {
            let place = item.value.url.as_ref().map_or(&item.place, |url| &url.place);
            let message = "http and https do not mix: what is secret would go out in the clear by chance";
            report.error(place, "mixed-schemes", message, "make two upstreams of it");
        }
        endpoints.push(endpoint);
    }
    (endpoints, all)
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

fn connections(
    block: Option<&At<ConnectionsBlock>>,
    idle: Duration,
    report: &mut Report,
) -> ConnectionSettings {
    let none = ConnectionsBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    ConnectionSettings {
        connect_timeout: time_over_zero(&block.connect_timeout, defaults::CONNECT_TIMEOUT, report),
        idle_timeout: time_over_zero(&block.idle_timeout, idle, report),
        max_age: time_or_off(&block.max_age, None),
    }
}

/// An endpoint, and whether TLS is spoken to it.
fn endpoint(block: &EndpointBlock, report: &mut Report) -> Option<(EndpointSpec, bool)> {
    let url = block.url.as_ref()?;
    let parsed = match url::parse(&url.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&url.value, "http://host:port", &url.place, report);
            return None;
        }
    };
    if !matches!(parsed.tail, "" | "/") {
        let scheme = if parsed.secure { "https" } else { "http" };
        let message = "a URL here has no path, query or fragment";
        let help = format!("write {scheme}://{}; `urlRewrite` of a route changes the path", parsed.authority);
        report.error(&url.place, "bad-url", message, help);
        return None;
    }
    let weight = narrow(number(&block.weight, 1));
    let endpoint = EndpointSpec { address: parsed.address, authority: parsed.authority.into(), weight };
    Some((endpoint, parsed.secure))
}
