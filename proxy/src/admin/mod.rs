//! The two small servers of the control thread: `status` for the kubelet and Prometheus, `admin`
//! for people and tools on loopback. Neither is reachable through the data ports.

pub(crate) mod app_probe;
mod checks;
mod logs;
mod routes;
mod status;
mod upstreams;

use std::{
    convert::Infallible, future::Future, io, net::TcpListener as StdListener, sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use outrigger_config::model::Config;
use tokio::net::TcpListener;

use self::app_probe::AppProbe;
use crate::{
    control::{StartError, shared::Shared},
    listener::bind,
};

/// A client whose request head is not complete within this time is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

type Answer = Response<Full<Bytes>>;

/// The two servers, bound.
pub(crate) struct Servers {
    status: Option<StdListener>,
    admin: Option<StdListener>,
}

impl Servers {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// An address is in use.
    pub(crate) fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |name: &str, address: Option<outrigger_config::model::ServerAddress>| {
            let Some(address) = address else {
                return Ok(None);
            };
            bind::bind_one(address.socket)
                .map(|(socket, _)| Some(socket))
                .map_err(|source| StartError::Bind {
                    name: name.to_owned(),
                    address: address.socket,
                    source,
                })
        };
        Ok(Self {
            status: bind("status", config.status)?,
            admin: bind("admin", config.admin)?,
        })
    }

    /// Serves until the process ends.
    pub(crate) fn serve(self, shared: &Arc<Shared>, app_probes: Vec<AppProbe>) {
        let status = Arc::new(status::Status { app_probes });
        if let Some(socket) = self.status {
            let shared_here = Arc::clone(shared);
            serve("status", socket, shared, move |request| {
                let (shared, status) = (Arc::clone(&shared_here), Arc::clone(&status));
                async move { status.answer(&shared, &request).await }
            });
        }
        if let Some(socket) = self.admin {
            let shared_here = Arc::clone(shared);
            serve("admin", socket, shared, move |request| {
                let shared = Arc::clone(&shared_here);
                async move { routes::answer(&shared, &request).await }
            });
        }
    }
}

fn serve<F, A>(name: &'static str, socket: StdListener, shared: &Shared, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let listener = match socket
        .local_addr()
        .and_then(|address| Ok((address, TcpListener::from_std(socket)?)))
    {
        Ok((address, listener)) => {
            shared.bound(name, address);
            listener
        }
        Err(error) => return tracing::error!(%name, %error, "cannot accept"),
    };
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve_connection(stream, answer.clone()));
                }
                Err(error) => pause_after(name, &error).await,
            }
        }
    });
}

async fn pause_after(name: &str, error: &io::Error) {
    tracing::warn!(%name, %error, "accept failed");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn serve_connection<F, A>(stream: tokio::net::TcpStream, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Send + Sync,
    A: Future<Output = Answer> + Send,
{
    let service = hyper::service::service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await; // errors caused by the client are not logged
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", body)
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}
