//! Everything but routes.

use serde_json::{Value, json};

use super::{
    provider, tls,
    value::{Object, percent, size, text, time, time_or_off, word},
};
use crate::model::{
    App, AppAddress, ConnectionSettings, EndpointSpec, Lifecycle, Listener, ListenerLimits, ReadinessProbe,
    Reload, SecretText, ServerAddress, Telemetry, Upstream, UpstreamKind, Workers,
};

pub(super) fn workers(workers: Workers) -> Value {
    match workers {
        Workers::Auto => "auto".into(),
        Workers::Fixed(number) => number.into(),
    }
}

pub(super) fn app(app: &App) -> Value {
    let object = match &app.address {
        AppAddress::Tcp(socket) => {
            Object::new().with("port", socket.port()).with("host", socket.ip().to_string())
        }
        AppAddress::Unix(path) => Object::new().with("socket", text(&path.to_string_lossy())),
    };
    let readiness = match &app.readiness.probe {
        ReadinessProbe::Connect => Object::new(),
        ReadinessProbe::Http { path } => Object::new().with("path", text(path)),
        ReadinessProbe::Grpc { service } => Object::new().with("grpc", text(service)),
    };
    let readiness =
        readiness.with("interval", time(app.readiness.interval)).with("timeout", time(app.readiness.timeout));
    object.with("protocol", word(app.protocol)).with("readiness", readiness).into()
}

pub(super) fn listener(listener: &Listener) -> Value {
    let socket = listener.address.socket;
    let object = Object::new().with("name", &*listener.name).with("direction", word(listener.direction));
    let object = match listener.address.dual_stack {
        true => object.with("port", socket.port()),
        false => object.with("address", socket.to_string()),
    };
    let cidrs: Vec<_> =
        listener.trusted_cidrs.iter().map(|cidr| format!("{}/{}", cidr.network, cidr.prefix)).collect();
    let timeouts = &listener.timeouts;
    object
        .maybe("tls", listener.tls.as_deref().map(tls::server))
        .with("clientAddress", json!({ "trustedCIDRs": cidrs, "proxyProtocol": listener.proxy_protocol }))
        .with("limits", limits(&listener.limits))
        .with(
            "timeouts",
            Object::new()
                .with("tlsHandshake", time_or_off(timeouts.tls_handshake))
                .with("requestHeaders", time_or_off(timeouts.request_headers))
                .with("bodyIdle", time_or_off(timeouts.body_idle))
                .with("idle", time_or_off(timeouts.idle))
                .with("connectionAge", time_or_off(timeouts.connection_age)),
        )
        .with(
            "paths",
            Object::new()
                .with("encodedSlash", word(listener.paths.encoded_slash))
                .with("mergeSlashes", listener.paths.merge_slashes),
        )
        .with("underscoreHeaders", word(listener.underscore_headers))
        .into()
}

fn limits(limits: &ListenerLimits) -> Object {
    let bytes = |bytes: usize| size(u64::try_from(bytes).unwrap_or(u64::MAX));
    Object::new()
        .with("headerBytes", bytes(limits.header_bytes))
        .with("headers", limits.headers)
        .with("targetBytes", bytes(limits.target_bytes))
        .maybe("bodyBytes", limits.body_bytes.map(size))
        .maybe("connections", limits.connections)
        .with("connectionsPerAddress", limits.connections_per_address)
        .with("streams", limits.streams)
}

/// The upstream and its name; `None` for the app, which has a block of its own.
pub(super) fn upstream(upstream: &Upstream) -> Option<(String, Value)> {
    if upstream.kind == UpstreamKind::App {
        return None;
    }
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let endpoints: Vec<Value> = upstream.endpoints.iter().map(|one| endpoint(scheme, one)).collect();
    let ConnectionSettings { connect_timeout, idle_timeout, max_age } = &upstream.connections;
    let object = Object::new()
        .with("endpoints", endpoints)
        .with("protocol", word(upstream.protocol))
        .maybe("tls", upstream.tls.as_deref().map(tls::client))
        .maybe("credentials", upstream.bearer_token.as_ref().map(credentials))
        .with("loadBalancer", Object::new().with("policy", word(upstream.load_balancer)))
        .with(
            "connections",
            Object::new()
                .with("connectTimeout", time(*connect_timeout))
                .with("idleTimeout", time(*idle_timeout))
                .with("maxAge", time_or_off(*max_age)),
        );
    Some((upstream.name.to_string(), object.into()))
}

fn credentials(token: &SecretText) -> Object {
    Object::new().with("bearerToken", provider::origin(token.origin()))
}

fn endpoint(scheme: &str, endpoint: &EndpointSpec) -> Value {
    let url = format!("{scheme}://{}", endpoint.authority);
    Object::new().with("url", url).with("weight", endpoint.weight).into()
}

pub(super) fn telemetry(telemetry: &Telemetry) -> Value {
    let log = &telemetry.access_log;
    let log = Object::new()
        .with("output", "stdout")
        .with("format", word(log.format))
        .with("samplePercent", percent(log.sample_percent));
    Object::new().with("accessLog", log).into()
}

pub(super) fn server(server: Option<ServerAddress>) -> Value {
    match server {
        Some(server) => json!({ "address": server.socket.to_string() }),
        None => "off".into(),
    }
}

pub(super) fn reload(reload: &Reload) -> Value {
    Object::new()
        .with("watch", reload.watch)
        .with("debounce", time(reload.debounce))
        .with("poll", time_or_off(reload.poll))
        .into()
}

pub(super) fn lifecycle(lifecycle: &Lifecycle) -> Value {
    Object::new()
        .with("shutdownDelay", time(lifecycle.shutdown_delay))
        .with("drainTimeout", time(lifecycle.drain_timeout))
        .with("logFlushTimeout", time(lifecycle.log_flush_timeout))
        .into()
}
