//! Whether the app is ready: asked when `/readyz` is asked, and kept for `readiness.interval`.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_config::model::{App, AppAddress, ReadinessProbe};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Mutex,
    time::{Instant, timeout},
};

/// More than any health answer needs.
const MOST_BYTES: usize = 64 * 1024;

/// The last answer. The lock also makes many askers wait for one question.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<Known>>);

struct Known {
    app: App,
    at: Instant,
    answer: Result<(), String>,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Readiness {
    /// Whether the app is ready; the reason when not.
    pub(super) async fn ask(&self, app: &App) -> Result<(), String> {
        let mut known = self.0.lock().await;
        if let Some(known) = &*known
            && known.app == *app
            && known.at.elapsed() < keep(known, app.readiness.interval)
        {
            return known.answer.clone();
        }
        let answer = match timeout(app.readiness.timeout, probe(app)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", app.readiness.timeout)),
        };
        *known = Some(Known { app: app.clone(), at: Instant::now(), answer: answer.clone() });
        answer
    }
}

/// A bad answer is kept for a second at most: an app that has just come up should not wait for traffic.
fn keep(known: &Known, interval: Duration) -> Duration {
    if known.answer.is_ok() { interval } else { interval.min(Duration::from_secs(1)) }
}

async fn probe(app: &App) -> Result<(), Cause> {
    match &app.address {
        AppAddress::Tcp(address) => speak(TcpStream::connect(address).await?, app).await,
        AppAddress::Unix(path) => speak(UnixStream::connect(path.as_path()).await?, app).await,
    }
}

async fn speak<S>(stream: S, app: &App) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match &app.readiness.probe {
        ReadinessProbe::Connect => Ok(()),
        ReadinessProbe::Http { path } => http(stream, path).await,
        ReadinessProbe::Grpc { service } => grpc(stream, service).await,
    }
}

async fn http<S>(stream: S, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::USER_AGENT, concat!("outrigger/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Full::<Bytes>::default())?;
    let answer = sender.send_request(request).await;
    driver.abort();
    match answer?.status() {
        status if status.is_success() || status.is_redirection() => Ok(()),
        status => Err(format!("{path} answered {}", status.as_u16()).into()),
    }
}

/// `grpc.health.v1.Health/Check`: one string in, one enum out, so the messages are written by hand.
async fn grpc<S>(stream: S, service: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://localhost/grpc.health.v1.Health/Check")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::new(check_request(service)))?;
    let answer = async { check_answer(sender.send_request(request).await?).await }.await;
    driver.abort();
    answer
}

fn check_request(service: &str) -> Bytes {
    const FIELD_1_STRING: u8 = 0x0a;
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(FIELD_1_STRING);
        let mut length = service.len();
        while length > 0x7f {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0); // not compressed
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    frame.freeze()
}

async fn check_answer(answer: Response<Incoming>) -> Result<(), Cause> {
    const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
    if answer.status() != StatusCode::OK {
        return Err(format!("the health service answered {}", answer.status().as_u16()).into());
    }
    let status_of = |headers: &http::HeaderMap| headers.get("grpc-status").cloned();
    let early = status_of(answer.headers());
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await?;
    let status = early.or_else(|| body.trailers().and_then(status_of));
    if status.is_some_and(|status| status != HeaderValue::from_static("0")) {
        return Err("the health service refused; is the service name known to it?".into());
    }
    if body.to_bytes() == SERVING { Ok(()) } else { Err("the health service says NOT_SERVING".into()) }
}
