//! Routes of the admin server: status, configuration, and the few actions on a running proxy.
//!
//! Loopback only. Actions are POST. Requests from browser pages are rejected: a Host that is not
//! loopback (DNS rebinding), or any Origin.

use std::time::SystemTime;

use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use outrigger_config::effective_json;
use outrigger_filters::host::name_of;
use serde_json::{Value, json};

use super::{
    Answer, checks::checks, logs::logs, method_not_allowed, text, upstreams::upstreams, with_type,
};
use crate::control::shared::{Request as Ask, Shared};

const INDEX: &str = "outrigger admin\n\n  GET  /status   phase, addresses, last reload, upstreams\n  GET  /config   the \
                     configuration that is served\n  POST /reload   read the file again\n  POST /drain    begin to drain\n";

pub(super) async fn answer(shared: &Shared, request: &Request<Incoming>) -> Answer {
    if !is_local(request.headers()) {
        return text(StatusCode::FORBIDDEN, "only for tools on this host\n");
    }
    let get = request.method() == Method::GET;
    let post = request.method() == Method::POST;
    match request.uri().path() {
        "/" if get => text(StatusCode::OK, INDEX),
        "/status" if get => json_answer(StatusCode::OK, &status(shared)),
        "/config" if get => {
            json_answer(StatusCode::OK, &effective_json(&shared.cell.load().config))
        }
        "/reload" if post => reload(shared).await,
        "/drain" if post => drain(shared).await,
        "/" | "/status" | "/config" => method_not_allowed("GET"),
        "/reload" | "/drain" => method_not_allowed("POST"),
        _ => text(StatusCode::NOT_FOUND, INDEX),
    }
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .map_or("", name_of);
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = literal
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    (loopback || host.eq_ignore_ascii_case("localhost")) && !headers.contains_key(header::ORIGIN)
}

fn status(shared: &Shared) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "phase": shared.phase().as_str(),
        "addresses": shared.addresses(),
        "config": {
            "generation": shared.metrics.generation(),
            "loadedSecondsAgo": shared.loaded().and_then(|at| SystemTime::now().duration_since(at).ok())
                .map(|ago| ago.as_secs()),
            "lastReloadSuccessful": shared.last_error().is_none(),
            "lastError": shared.last_error(),
            "pendingRestart": shared.pending_restart(),
        },
        "upstreams": upstreams(&shared.cell.load().upstreams),
        "checks": checks(&shared.monitoring.checks()),
        "logs": shared.metrics.logs().map(|counters| logs(&counters)),
    })
}

async fn reload(shared: &Shared) -> Answer {
    match shared.ask(Ask::Reload).await {
        Some(None) => text(
            StatusCode::OK,
            format!("generation {}\n", shared.metrics.generation()),
        ),
        Some(Some(error)) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
        None => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
    }
}

async fn drain(shared: &Shared) -> Answer {
    match shared.ask(Ask::Drain).await {
        Some(()) => text(StatusCode::ACCEPTED, "draining\n"),
        None => text(StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
    }
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    with_type(status, "application/json", format!("{value:#}\n"))
}
