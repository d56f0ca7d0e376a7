//! `monitor.checks`: servers that the app depends on.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::Value;

use crate::{
    block::{
        At, Int, Time, block,
        field::{status_code, time_over_zero},
        name,
        problem::Report,
        show::{self, Object, list, text},
    },
    files::Files,
    part::{
        path,
        url::{self, EndpointSpec, UrlError},
    },
    tls::client::{self, ClientTls, UpstreamTlsBlock},
};

block! {
    /// A server that the proxy checks every `interval`. The result is a metric and part of admin `GET /status`; no request depends on it.
    CheckBlock {
        /// Its name in metrics, a DNS label.
        "name" name: String,
        /// The URL of a GET request over HTTP/1.1, such as `https://pay.example.com/healthz`.
        "http" http: String,
        /// Host and port of a TCP connection, such as `db.infra:5432`; with `tls`, a TLS handshake follows.
        "tcp" tcp: String,
        /// The URL of a server with the gRPC health service, such as `http://ledger:9000`.
        "grpc" grpc: String,
        /// With `grpc`: the service that must be SERVING. Default: the server as a whole.
        "service" service: String,
        /// With `http`: the status codes that count as success. Default: 200 to 399.
        "status" status: Vec<At<Int<100, 599>>>,
        /// With `http`: a regular expression that must match in the first 64 KiB of the body. Default: none.
        "body" body: String,
        /// TLS with the server: trusted CAs, and the proxy's own certificate.
        "tls" tls: UpstreamTlsBlock,
        /// Time between checks, varied by up to 10%, over 0. Default 30s.
        "interval" interval: Time,
        /// Time for a check, from the DNS lookup to the complete response, over 0. Default 5s.
        "timeout" timeout: Time,
    }
    required ["name"]
    one_of ["http", "tcp", "grpc"]
}

/// One of `monitor.checks`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Its name; no other check has it.
    pub name: Arc<str>,
    /// What the check sends.
    pub kind: CheckKind,
    /// The address of the server.
    pub endpoint: EndpointSpec,
    /// TLS with the server, if any.
    pub tls: Option<Arc<ClientTls>>,
    /// Time between checks. Default 30 s.
    pub interval: Duration,
    /// Time for a check, from the DNS lookup to the complete response. Default 5 s.
    pub timeout: Duration,
}

/// What a check sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// GET.
    Http {
        /// Path and query.
        path: Arc<str>,
        /// The status codes that count as success; 200 to 399 if empty.
        statuses: Vec<StatusCode>,
        /// A regular expression that compiles, to be found in the body.
        body: Option<Arc<str>>,
    },
    /// A connection.
    Tcp,
    /// The gRPC health service.
    Grpc {
        /// The requested service; empty for the server as a whole.
        service: Arc<str>,
    },
}

/// Longer than for an endpoint that gets requests: others operate these servers.
const INTERVAL: Duration = Duration::from_secs(30);

/// A slow response is still a success; the duration has its own metric.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the list.
pub(crate) fn accept(
    written: Option<&At<Vec<At<CheckBlock>>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Check> {
    let mut names = HashSet::new();
    let mut checks = Vec::new();
    for item in written.map_or(&[][..], |written| &written.value) {
        let block = &item.value;
        if let Some(name) = &block.name {
            name::check(&name.value, &name.place, report);
            if !names.insert(name.value.as_str()) {
                let message = format!("another check is named `{}`", name.value);
                report.error(
                    &name.place,
                    "duplicate-name",
                    message,
                    "give each its own name",
                );
            }
        }
        checks.extend(check(block, files, report));
    }
    checks
}

fn check(block: &CheckBlock, files: &mut Files<'_>, report: &mut Report) -> Option<Check> {
    let interval = time_over_zero(&block.interval, INTERVAL, report);
    let timeout = time_over_zero(&block.timeout, TIMEOUT, report);
    only_with(
        "http",
        block.http.is_some(),
        [
            block.status.as_ref().map(|at| ("status", &at.place)),
            block.body.as_ref().map(|at| ("body", &at.place)),
        ],
        report,
    );
    only_with(
        "grpc",
        block.grpc.is_some(),
        [
            block.service.as_ref().map(|at| ("service", &at.place)),
            None,
        ],
        report,
    );
    let (statuses, body) = (statuses(block, report), pattern(block, report));
    let (kind, endpoint, secure) = if let Some(url) = &block.http {
        let (endpoint, secure, tail) = server(url, report)?;
        let path = target(url, tail, report);
        let kind = CheckKind::Http {
            path,
            statuses,
            body,
        };
        (kind, endpoint, secure)
    } else if let Some(url) = &block.grpc {
        let (endpoint, secure, tail) = server(url, report)?;
        if !matches!(tail, "" | "/") {
            let message = "the URL of a gRPC server has no path, query or fragment";
            report.error(&url.place, "bad-url", message, "write http://host:port");
        }
        let service = block.service.as_ref().map_or("", |service| &service.value);
        (
            CheckKind::Grpc {
                service: service.into(),
            },
            endpoint,
            secure,
        )
    } else {
        let written = block.tcp.as_ref()?;
        (
            CheckKind::Tcp,
            host_and_port(written, report)?,
            block.tls.is_some(),
        )
    };
    let tls = client::of_url(block.tls.as_ref(), secure, "https", files, report);
    Some(Check {
        name: block.name.as_ref()?.value.as_str().into(),
        kind,
        endpoint,
        tls,
        interval,
        timeout,
    })
}

fn only_with<const N: usize>(
    kind: &str,
    is_it: bool,
    keys: [Option<(&str, &crate::block::problem::Place)>; N],
    report: &mut Report,
) {
    for (key, place) in keys.into_iter().flatten().filter(|_| !is_it) {
        let message = format!("`{key}` has no effect without `{kind}`");
        report.error(place, "conflicting-keys", message, "remove it");
    }
}

fn server<'a>(
    written: &'a At<String>,
    report: &mut Report,
) -> Option<(EndpointSpec, bool, &'a str)> {
    match url::parse(&written.value) {
        Ok(parsed) => Some((
            spec(parsed.address, parsed.authority),
            parsed.secure,
            parsed.tail,
        )),
        Err(error) => {
            error.report(&written.value, "http://host:port", &written.place, report);
            None
        }
    }
}

fn spec(address: url::EndpointAddress, authority: String) -> EndpointSpec {
    EndpointSpec {
        address,
        authority: authority.into(),
        weight: 1,
    }
}

/// Path and query of a URL, as sent in a request.
fn target(url: &At<String>, tail: &str, report: &mut Report) -> Arc<str> {
    let target = match tail {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        tail => tail.to_owned(),
    };
    let target = At {
        value: target,
        place: url.place.clone(),
    };
    path::target(&target, report);
    target.value.into()
}

fn pattern(block: &CheckBlock, report: &mut Report) -> Option<Arc<str>> {
    let written = block.body.as_ref()?;
    if let Err(error) = regex::bytes::Regex::new(&written.value) {
        let message = format!("{:?} is not a regular expression: {error}", written.value);
        let help = "write a regular expression; in YAML, single quotes keep each backslash";
        report.error(&written.place, "bad-regex", message, help);
        return None;
    }
    Some(written.value.as_str().into())
}

fn statuses(block: &CheckBlock, report: &mut Report) -> Vec<StatusCode> {
    let Some(written) = &block.status else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "write at least one, or remove the key for 200 to 399";
        report.error(
            &written.place,
            "empty-list",
            "the list is empty: no status would be a success",
            help,
        );
    }
    let codes = written.value.iter();
    codes.map(|status| status_code(status.value.0)).collect()
}

fn host_and_port(written: &At<String>, report: &mut Report) -> Option<EndpointSpec> {
    let text = &written.value;
    let parsed = url::split_port(text).and_then(|(host, port)| {
        let port = port.ok_or(UrlError::Port)?;
        url::address(host, port)
    });
    match parsed {
        Ok(address) => Some(spec(address, text.to_ascii_lowercase())),
        Err(_) => {
            let message = format!("{text:?} is not a host and a port");
            report.error(
                &written.place,
                "bad-address",
                message,
                "write for example db.infra:5432",
            );
            None
        }
    }
}

/// Shows what was accepted.
pub(crate) fn show(check: &Check) -> Value {
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let authority = &check.endpoint.authority;
    let object = Object::new().with("name", text(&check.name));
    let object = match &check.kind {
        CheckKind::Http {
            path,
            statuses,
            body,
        } => object
            .with("http", text(&format!("{scheme}://{authority}{path}")))
            .maybe("status", list(statuses, |status| status.as_u16().into()))
            .maybe("body", body.as_deref().map(text)),
        CheckKind::Tcp => object.with("tcp", text(authority)),
        CheckKind::Grpc { service } => object
            .with("grpc", text(&format!("{scheme}://{authority}")))
            .with("service", text(service)),
    };
    let is_shown = |tls: &&ClientTls| check.kind == CheckKind::Tcp || **tls != ClientTls::default();
    object
        .maybe(
            "tls",
            check.tls.as_deref().filter(is_shown).map(client::show),
        )
        .with("interval", show::time(check.interval))
        .with("timeout", show::time(check.timeout))
        .into()
}
