//! The control port: returns counters and accepts behaviors, as JSON and plain text over HTTP.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Shared;
use super::behaviour::Behaviour;

/// Longer than any realistic behavior.
const LONGEST_BEHAVIOUR: usize = 4096;

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((stream, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(answer(&shared, request).await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/stats") => json_body(&shared.counters.snapshot().to_json()),
        (&Method::GET, "/endpoints") => json_body(&endpoints(shared)),
        (&Method::POST, "/reset") => {
            shared.reset();
            text(StatusCode::OK, "counters reset\n".to_owned())
        }
        (&Method::PUT, path) => match path.strip_prefix("/endpoints/") {
            Some(name) => change(shared, name, request.into_body()).await,
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn endpoints(shared: &Shared) -> serde_json::Value {
    let list = shared
        .names
        .iter()
        .zip(&shared.endpoints)
        .map(|(name, endpoint)| {
            json!({
                "name": name,
                "address": endpoint.address().to_string(),
                "behaviour": endpoint.behaviour().to_string(),
            })
        });
    list.collect()
}

async fn change(shared: &Shared, name: &str, body: Incoming) -> Response<Full<Bytes>> {
    let Some(index) = shared.names.iter().position(|known| known == name) else {
        return not_found();
    };
    let Ok(body) = Limited::new(body, LONGEST_BEHAVIOUR).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too long\n".to_owned());
    };
    let body = body.to_bytes();
    match std::str::from_utf8(&body)
        .map_err(|error| error.to_string())
        .and_then(str::parse::<Behaviour>)
    {
        Ok(behaviour) => {
            let spelled = format!("{behaviour}\n");
            shared.endpoints[index].change(behaviour);
            text(StatusCode::OK, spelled)
        }
        Err(problem) => text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    }
}

fn not_found() -> Response<Full<Bytes>> {
    let ways = "GET /stats, GET /endpoints, POST /reset, PUT /endpoints/NAME with a behaviour\n";
    text(StatusCode::NOT_FOUND, ways.to_owned())
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn json_body(value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, format!("{value:#}\n"));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
