//! `monitor.push`: the metrics to a collector, for pods that no Prometheus scrapes.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    block::{
        At, Time, block,
        field::time_over_zero,
        problem::Report,
        show::{self, Object, path, text},
    },
    files::Files,
    part::url::{self, EndpointSpec},
    secret::{self, CredentialsBlock, SecretSource},
    tls::client::{self, ClientTls, UpstreamTlsBlock},
};

block! {
    /// Pushes the page of metrics, with the app's own metrics.
    PushBlock {
        /// By OTLP over HTTP, as protobuf.
        "otlp" otlp: OtlpBlock,
    }
    required ["otlp"]
}

block! {
    /// An OpenTelemetry collector.
    OtlpBlock {
        /// Its URL, such as `http://otel.obs:4318`; the proxy appends `/v1/metrics`.
        "url" url: String,
        /// TLS with the collector, for a URL that begins with https: trusted CAs, and the proxy's own certificate.
        "tls" tls: UpstreamTlsBlock,
        /// Credentials that the proxy sends with each request.
        "credentials" credentials: CredentialsBlock,
        /// Time between pushes, over 0. Default 1m.
        "interval" interval: Time,
        /// Time for a push, from the start of the connect to the complete response, over 0. Default 10s.
        "timeout" timeout: Time,
    }
    required ["url"]
}

/// `monitor.push.otlp`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpPush {
    /// The address of the collector.
    pub endpoint: EndpointSpec,
    /// The path that metrics are posted to.
    pub path: Arc<str>,
    /// TLS with the collector, if any.
    pub tls: Option<Arc<ClientTls>>,
    /// A bearer token.
    pub bearer_token: Option<SecretSource>,
    /// Time between pushes. Default 1 min.
    pub interval: Duration,
    /// Time for a push, from the start of the connect to the complete response. Default 10 s.
    pub timeout: Duration,
}

/// The default of the OpenTelemetry SDKs.
const INTERVAL: Duration = Duration::from_secs(60);

/// The default of the OpenTelemetry SDKs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the OTLP specification adds to the URL of a collector.
const METRICS: &str = "/v1/metrics";

/// Checks the block. `None` was reported.
pub(crate) fn accept(
    block: &At<PushBlock>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<OtlpPush> {
    let block = &block.value.otlp.as_ref()?.value;
    let interval = time_over_zero(&block.interval, INTERVAL, report);
    let timeout = time_over_zero(&block.timeout, TIMEOUT, report);
    let url = block.url.as_ref()?;
    let parsed = match url::parse(&url.value) {
        Ok(parsed) => parsed,
        Err(error) => {
            error.report(&url.value, "http://host:4318", &url.place, report);
            return None;
        }
    };
    if parsed.tail.contains(['?', '#']) {
        let message = "the URL of a collector has no query and no fragment";
        report.error(&url.place, "bad-url", message, "write http://host:4318");
    }
    let endpoint = EndpointSpec {
        address: parsed.address,
        authority: parsed.authority.into(),
        weight: 1,
    };
    if let Some(credentials) = block
        .credentials
        .as_ref()
        .filter(|_| !parsed.secure && !endpoint.address.is_local())
    {
        let message = "credentials are never sent over http to another host: an attacker on the network path could use them";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "write https:// in the URL",
        );
    }
    let token = block
        .credentials
        .as_ref()
        .and_then(|credentials| credentials.value.bearer_token.as_ref());
    let bearer_token = token.and_then(|token| secret::bearer_token(token, files, report));
    let tls = client::of_url(block.tls.as_ref(), parsed.secure, "https", files, report);
    Some(OtlpPush {
        endpoint,
        path: format!("{}{METRICS}", parsed.tail.trim_end_matches('/')).into(),
        tls,
        bearer_token,
        interval,
        timeout,
    })
}

/// Shows what was accepted.
pub(crate) fn show(push: &OtlpPush) -> Value {
    let scheme = if push.tls.is_some() { "https" } else { "http" };
    let base = push.path.strip_suffix(METRICS).unwrap_or_default();
    let tls = push
        .tls
        .as_deref()
        .filter(|tls| **tls != ClientTls::default());
    let credentials = push.bearer_token.as_ref().map(|token| {
        let token = match token {
            SecretSource::File(file) => Object::new().with("file", path(file)),
            SecretSource::Env { name, .. } => Object::new().with("env", text(name)),
        };
        Object::new().with("bearerToken", token)
    });
    let otlp = Object::new()
        .with(
            "url",
            text(&format!("{scheme}://{}{base}", push.endpoint.authority)),
        )
        .maybe("tls", tls.map(client::show))
        .maybe("credentials", credentials)
        .with("interval", show::time(push.interval))
        .with("timeout", show::time(push.timeout));
    Object::new().with("otlp", otlp).into()
}
