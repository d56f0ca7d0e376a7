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
pub(super) struct Readiness(Mutex<Option<Known>>);

struct Known {
    app: App,
    at: Instant,
    answer: Result<(), String>,
}

impl Readiness {
    /// Checks whether the app is ready; the error is the reason when it is not.
    pub(super) async fn ask(&self, app: &App) -> Result<(), String> {
        let mut known = self.0.lock().await;
        if let Some(known) = &*known
            && known.app == *app
            && known.at.elapsed() < keep(known, app.readiness.interval)
        {
            return known.answer.clone();
        }
        let answer = match timeout(app.readiness.timeout, ask(app)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {:?}", app.readiness.timeout)),
        };
        *known = Some(Known {
            app: app.clone(),
            at: Instant::now(),
            answer: answer.clone(),
        });
        answer
    }
}

/// A failure is cached for 1 s at most: an app that has just become ready should not wait for
/// traffic.
fn keep(known: &Known, interval: Duration) -> Duration {
    if known.answer.is_ok() {
        interval
    } else {
        interval.min(Duration::from_secs(1))
    }
}

async fn ask(app: &App) -> Result<(), Cause> {
    match &app.address {
        AppAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?; // HTTP/2 starts with several small frames
            speak(stream, app).await
        }
        AppAddress::Unix(path) => speak(UnixStream::connect(path.as_path()).await?, app).await,
    }
}

async fn speak<S>(stream: S, app: &App) -> Result<(), Cause>
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
