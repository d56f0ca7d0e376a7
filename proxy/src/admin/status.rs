//! `/livez /readyz /startupz /metrics`, the app's probes that the command line names, and nothing else.
//!
//! Liveness never depends on the app or an upstream: a restart would not repair them. Startup never
//! waits for the app: the app starts only after its sidecar.

use std::sync::Arc;

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;

use super::{Answer, app_probe::AppProbe, method_not_allowed, text, with_type};
use crate::control::shared::{Phase, Shared};

/// What the status server needs to know.
pub(super) struct Status {
    /// Probes of the app's containers.
    pub(super) app_probes: Vec<AppProbe>,
}

impl Status {
    pub(super) async fn answer(&self, shared: &Shared, request: &Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return method_not_allowed("GET");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/startupz" => startup(shared.phase()),
            "/readyz" => ready(shared).await,
            "/metrics" => {
                let config = Arc::clone(&shared.cell.load().config);
                let (app, headers) = (config.app.as_ref(), request.headers());
                let (format, page) = shared.monitoring.page(app, headers).await;
                with_type(StatusCode::OK, format.content_type(), page)
            }
            path => match self.app_probes.iter().find(|probe| probe.is_at(path)) {
                Some(probe) => app(probe, request).await,
                None => text(
                    StatusCode::NOT_FOUND,
                    "this port has /livez /readyz /startupz /metrics\n",
                ),
            },
        }
    }
}

/// Forwards the kubelet's probe to the app.
async fn app(probe: &AppProbe, request: &Request<Incoming>) -> Answer {
    match probe.ask(request.headers().get(header::USER_AGENT)).await {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(reason) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the app is not well: {reason}\n"),
        ),
    }
}

fn startup(phase: Phase) -> Answer {
    match phase {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => text(StatusCode::OK, "ok\n"),
    }
}

async fn ready(shared: &Shared) -> Answer {
    match shared.phase() {
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Serving => {
            let app = shared.cell.load().config.app.clone();
            let Some(app) = app else {
                return text(StatusCode::OK, "ok\n");
            };
            match shared.monitoring.ready(&app).await {
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
