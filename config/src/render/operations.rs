//! Everything but routes, tokens and upstreams.

use serde_json::{Value, json};

use crate::{
    block::show::{Object, percent, size, text, time, time_or_off, word},
    model::{
        App, AppAddress, Lifecycle, Listener, ListenerLimits, ReadinessProbe, Reload, ServerAddress,
        Telemetry, Workers,
    },
    render::{tls, upstream},
};

pub(crate) fn workers(workers: Workers) -> Value {
    match workers {
        Workers::Auto => "auto".into(),
        Workers::Fixed(number) => number.into(),
    }
}

pub(crate) fn app(app: &App) -> Value {
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
    let limits = upstream::limits(app.limits);
    object.with("protocol", word(app.protocol)).with("readiness", readiness).with("limits", limits).into()
}

pub(crate) fn listener(listener: &Listener) -> Value {
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

pub(crate) fn telemetry(telemetry: &Telemetry) -> Value {
    let log = &telemetry.access_log;
    let log = Object::new()
        .with("output", "stdout")
        .with("format", word(log.format))
        .with("samplePercent", percent(log.sample_percent));
    Object::new().with("accessLog", log).into()
}

pub(crate) fn server(server: Option<ServerAddress>) -> Value {
    match server {
        Some(server) => json!({ "address": server.socket.to_string() }),
        None => "off".into(),
    }
}

pub(crate) fn reload(reload: &Reload) -> Value {
    Object::new()
        .with("watch", reload.watch)
        .with("debounce", time(reload.debounce))
        .with("poll", time_or_off(reload.poll))
        .into()
}

pub(crate) fn lifecycle(lifecycle: &Lifecycle) -> Value {
    Object::new()
        .with("shutdownDelay", time(lifecycle.shutdown_delay))
        .with("drainTimeout", time(lifecycle.drain_timeout))
        .with("logFlushTimeout", time(lifecycle.log_flush_timeout))
        .into()
}
