//! Readiness of the app: checked when `/readyz` is requested, cached for `readiness.interval`.

use std::time::Duration;

use outrigger_config::model::{App, AppAddress, Protocol, ReadinessProbe};
use outrigger_transport::probe::{self, Cause, Target};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Mutex,
    time::{Instant, timeout},
};

/// The last result. The lock also makes concurrent requests wait for one check.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<CachedResult>>);

struct CachedResult {
    app: App,
    at: Instant,
    result: Result<(), String>,
}

impl Readiness {
    /// Checks whether the app is ready; the error is the reason when it is not.
    pub(super) async fn check(&self, app: &App) -> Result<(), String> {
        let mut cached = self.0.lock().await;
        if let Some(cached) = &*cached
            && cached.app == *app
            && cached.at.elapsed() < keep(cached, app.readiness.interval)
        {
            return cached.result.clone();
        }
        let result = match timeout(app.readiness.timeout, check(app)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {:?}", app.readiness.timeout)),
        };
        *cached = Some(CachedResult {
            app: app.clone(),
            at: Instant::now(),
            result: result.clone(),
        });
        result
    }
}

/// A failure is cached for 1 s at most: an app that has just become ready should not wait for
/// traffic.
fn keep(cached: &CachedResult, interval: Duration) -> Duration {
    if cached.result.is_ok() {
        interval
    } else {
        interval.min(Duration::from_secs(1))
    }
}

async fn check(app: &App) -> Result<(), Cause> {
    match &app.address {
        AppAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?; // HTTP/2 starts with several small frames
            probe_over(stream, app).await
        }
        AppAddress::Unix(path) => probe_over(UnixStream::connect(path.as_path()).await?, app).await,
    }
}

async fn probe_over<S>(stream: S, app: &App) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let target = Target {
        scheme: "http",
        host: "localhost",
    };
    match &app.readiness.probe {
        ReadinessProbe::Connect => Ok(()),
        ReadinessProbe::Http { path } => match app.protocol {
            // As for requests that are not gRPC.
            Protocol::Auto | Protocol::Http1 => probe::http1(stream, target, path).await,
            Protocol::H2c => probe::http2(stream, target, path).await,
        },
        ReadinessProbe::Grpc { service } => probe::grpc(stream, target, service).await,
    }
}
