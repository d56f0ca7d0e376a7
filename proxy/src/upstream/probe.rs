//! Questions to an app or endpoint: is it well? Each over a connection of its own, on the control thread.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

/// More than any health answer needs.
const MOST_BYTES: usize = 64 * 1024;

/// Why it is not well.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Whether GET on `path` answers 200 to 399.
///
/// # Errors
/// Why not.
pub(crate) async fn http<S>(stream: S, host: &str, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, host)
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

/// `grpc.health.v1.Health/Check`: one string in, one enum out, so the messages are written by hand. `base` is scheme and
/// authority.
///
/// # Errors
/// The service does not say that it serves.
pub(crate) async fn grpc<S>(stream: S, base: &str, service: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{base}/grpc.health.v1.Health/Check"))
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
