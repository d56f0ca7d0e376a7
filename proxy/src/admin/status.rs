//! `/livez /readyz /startupz /metrics`, and nothing else.
//!
//! Liveness never depends on the app or an upstream: a restart would not mend them. Startup never waits for the app:
//! the app starts only when its sidecar has started.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::{Answer, method_not_allowed, readiness::Readiness, text, with_type};
use crate::{
    control::shared::{Phase, Shared},
    telemetry::metrics::Format,
};

pub(super) async fn answer(
    shared: &Shared,
    readiness: &Readiness,
    request: &Request<Incoming>,
) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed("GET");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/startupz" => startup(shared.phase()),
        "/readyz" => ready(shared, readiness).await,
        "/metrics" => {
            let format = Format::accepted(request.headers());
            let page = shared.metrics.render(format);
            with_type(StatusCode::OK, format.content_type(), page)
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "this port has /livez /readyz /startupz /metrics\n",
        ),
    }
}

fn startup(phase: Phase) -> Answer {
    match phase {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => text(StatusCode::OK, "ok\n"),
    }
}

async fn ready(shared: &Shared, readiness: &Readiness) -> Answer {
    match shared.phase() {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Serving => {
            let app = shared.cell.load().config.app.clone();
            let Some(app) = app else {
                return text(StatusCode::OK, "ok\n");
            };
            match readiness.ask(&app).await {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(reason) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("app not ready: {reason}\n"),
                ),
            }
        }
        Phase::Draining | Phase::Drained | Phase::Ending => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
    }
}
