//! `upstreams`: named groups of endpoints; each of its blocks has a file of its own.

pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod connections;
pub(crate) mod credentials;
pub(crate) mod dns;
pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod outlier;
pub(crate) mod protocol;
pub(crate) mod retry_budget;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    app::{App, AppAddress},
    block::{
        At, Entries, Word, block,
        field::word,
        name,
        problem::Report,
        show::{self, Object},
    },
    files::Files,
    part::url::{EndpointAddress, EndpointSpec},
    secret::{CredentialsBlock, SecretText},
    tls::client::{self, ClientTls, UpstreamTlsBlock},
    upstream::{
        balance::{LoadBalancer, LoadBalancerBlock},
        breaker::{CircuitBreaker, CircuitBreakerBlock},
        connections::{ConnectionSettings, ConnectionsBlock},
        dns::{DnsBlock, NamedEndpoints},
        endpoint::EndpointBlock,
        health::{HealthCheck, HealthCheckBlock},
        limits::{UpstreamLimits, UpstreamLimitsBlock},
        outlier::{OutlierDetection, OutlierDetectionBlock},
        protocol::Protocol,
        retry_budget::{RetryBudget, RetryBudgetBlock},
    },
};

block! {
    /// A named group of endpoints that routes forward requests to.
    UpstreamBlock {
        /// The endpoints, at least one.
        "endpoints" endpoints: Vec<At<EndpointBlock>>,
        /// A DNS name whose addresses, or services, are the endpoints; resolved again by its TTL,
        /// from 1s to 5m. With `tls`, connections to them use TLS.
        "dns" dns: DnsBlock,
        /// Protocol used with the endpoints: `auto` (HTTP/1.1, and HTTP/2 for gRPC requests),
        /// `http1` or `h2c`. Default auto.
        "protocol" protocol: Word<Protocol>,
        /// TLS with endpoints whose URLs begin with https. Default: verified by their own names
        /// with the system's CA certificates.
        "tls" tls: UpstreamTlsBlock,
        /// Credentials that are sent with each request and replace those of the client. Not over
        /// http, except to this host.
        "credentials" credentials: CredentialsBlock,
        /// How an endpoint is selected.
        "loadBalancer" load_balancer: LoadBalancerBlock,
        /// Limits on the load, over all workers and endpoints.
        "circuitBreaker" circuit_breaker: CircuitBreakerBlock,
        /// Active health checks of the endpoints. Default: none.
        "healthCheck" health_check: HealthCheckBlock,
        /// Outlier detection: when a failing endpoint is ejected, and for how long. On by default.
        "outlierDetection" outlier_detection: OutlierDetectionBlock,
        /// Timeouts and age limit of connections.
        "connections" connections: ConnectionsBlock,
        /// Limits on what an endpoint may send.
        "limits" limits: UpstreamLimitsBlock,
        /// Limit on retries.
        "retryBudget" retry_budget: RetryBudgetBlock,
    }
    one_of ["endpoints", "dns"]
}

/// A named group of endpoints that routes forward requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    /// Unique name; `app` for the application in this pod.
    pub name: Arc<str>,
    /// The app, or an entry of `upstreams`.
    pub kind: UpstreamKind,
    /// At least one; none with `dns`.
    pub endpoints: Vec<EndpointSpec>,
    /// A DNS name that resolves to the endpoints.
    pub dns: Option<NamedEndpoints>,
    /// Protocol used with the endpoints.
    pub protocol: Protocol,
    /// TLS with the endpoints; `None`: plain text.
    pub tls: Option<Arc<ClientTls>>,
    /// The bearer token that replaces Authorization in every request.
    pub bearer_token: Option<SecretText>,
    /// How an endpoint is selected.
    pub load_balancer: LoadBalancer,
    /// Limits on the load; `None` for the app.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Active health checks; `None`: disabled.
    pub health_check: Option<HealthCheck>,
    /// Outlier detection; `None` for the app, which is the only endpoint.
    pub outlier_detection: Option<OutlierDetection>,
    /// Timeouts and age limit of connections.
    pub connections: ConnectionSettings,
    /// Limits on what an endpoint may send.
    pub limits: UpstreamLimits,
    /// Limit on retries.
    pub retry_budget: RetryBudget,
}

impl Upstream {
    /// The Host on outbound routes.
    pub fn host<'a>(&'a self, endpoint: &'a EndpointSpec) -> &'a str {
        let named = self.tls.as_ref().and_then(|tls| tls.hostname.as_deref());
        named.unwrap_or(&endpoint.authority)
    }

    /// Host and port for requests without their own.
    pub fn authority(&self) -> &str {
        let named = self.dns.as_ref().map(|dns| &*dns.authority);
        named
            .or_else(|| self.endpoints.first().map(|one| &*one.authority))
            .unwrap_or("localhost")
    }

    /// Whether the other configuration has the same settings, regardless of the contents of its
    /// files.
    pub fn same_block(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.same_block(other),
            (None, None) => true,
            _ => false,
        };
        let origin = |upstream: &Self| {
            upstream
                .bearer_token
                .as_ref()
                .map(|token| token.origin().cloned())
        };
        let without_files = |upstream: &Self| Self {
            tls: None,
            bearer_token: None,
            ..upstream.clone()
        };
        tls && origin(self) == origin(other) && without_files(self) == without_files(other)
    }
}

/// The app, or an upstream outside the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// The `app` block.
    App,
    /// An entry of `upstreams`.
    External,
}

/// All upstreams: the app first, then in file order.
pub(crate) fn accept(
    app: Option<&App>,
    written: Option<&At<Entries<UpstreamBlock>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = app.map(app_upstream).into_iter().collect();
    let Some(written) = written else {
        return upstreams;
    };
    if written.value.0.is_empty() {
        let help = "add an upstream or remove the key";
        report.error(
            &written.place,
            "empty-list",
            "the list of upstreams is empty",
            help,
        );
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
        endpoints: vec![EndpointSpec {
            address,
            authority: authority.into(),
            weight: 1,
        }],
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

fn upstream(
    name: &str,
    block: &UpstreamBlock,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Upstream {
    let written = block.endpoints.as_ref();
    if let Some(empty) = written.filter(|endpoints| endpoints.value.is_empty()) {
        let help = "write `- url: http://host:port`";
        report.error(
            &empty.place,
            "empty-list",
            "an upstream requires at least one endpoint",
            help,
        );
    }
    let items = written.map_or(&[][..], |endpoints| &endpoints.value);
    let (endpoints, secure) = match block.dns {
        // There is no URL that says it.
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
        bearer_token: credentials::accept(
            block.credentials.as_ref(),
            block.dns.is_some(),
            &endpoints,
            secure,
            files,
            report,
        ),
        endpoints,
        dns: named.and_then(|named| dns::accept(&named.value, tls.as_deref(), report)),
        protocol: word(&block.protocol, Protocol::Auto),
        tls,
        load_balancer: balance::accept(block.load_balancer.as_ref(), report),
        circuit_breaker: Some(breaker::accept(block.circuit_breaker.as_ref())),
        health_check: block
            .health_check
            .as_ref()
            .map(|check| health::accept(check, report)),
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
    let read = block
        .tls
        .as_ref()
        .map(|tls| client::accept(&tls.value, files, report));
    let written = block.tls.as_ref().map(|tls| &tls.place);
    match (secure, written) {
        (Some(false), Some(place)) => {
            let message = "`tls` has no effect on endpoints whose URLs begin with http";
            report.error(
                place,
                "conflicting-keys",
                message,
                "remove it, or write https:// in the URLs",
            );
            None
        }
        (Some(true), _) => {
            let h2c = block
                .protocol
                .as_ref()
                .filter(|protocol| protocol.value.0 == Protocol::H2c);
            if let Some(protocol) = h2c {
                let message = "h2c is HTTP/2 without TLS";
                let help =
                    "write `auto` (HTTP/1.1, and HTTP/2 for gRPC requests), or http:// in the URLs";
                report.error(&protocol.place, "conflicting-keys", message, help);
            }
            Some(Arc::new(read.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Renders the upstream and its name; `None` for the app, which has its own block.
pub(crate) fn show(upstream: &Upstream) -> Option<(String, Value)> {
    if upstream.kind == UpstreamKind::App {
        return None;
    }
    let scheme = if upstream.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let endpoints: Vec<Value> = upstream
        .endpoints
        .iter()
        .map(|one| endpoint::show(scheme, one))
        .collect();
    let object = Object::new()
        .maybe("endpoints", upstream.dns.is_none().then_some(endpoints))
        .maybe("dns", upstream.dns.as_ref().map(dns::show))
        .with("protocol", show::word(upstream.protocol))
        .maybe("tls", upstream.tls.as_deref().map(client::show))
        .maybe(
            "credentials",
            upstream.bearer_token.as_ref().map(credentials::show),
        )
        .with("loadBalancer", balance::show(&upstream.load_balancer))
        .maybe(
            "circuitBreaker",
            upstream.circuit_breaker.as_ref().map(CircuitBreaker::show),
        )
        .maybe(
            "healthCheck",
            upstream.health_check.as_ref().map(health::show),
        )
        .maybe(
            "outlierDetection",
            upstream
                .outlier_detection
                .as_ref()
                .map(OutlierDetection::show),
        )
        .with("connections", upstream.connections.show())
        .with("limits", upstream.limits.show())
        .with("retryBudget", upstream.retry_budget.show());
    Some((upstream.name.to_string(), object.into()))
}
