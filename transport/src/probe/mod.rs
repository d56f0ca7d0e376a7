//! Health checks of an app or endpoint, each over its own connection, on the control thread.

mod grpc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::grpc::grpc;
use crate::client::{Connection, USER_AGENT};

/// Why a check failed.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A longer response head is a failure.
const HEAD_BYTES: usize = 400 * 1024;

/// The target of a check.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host, or host and port.
    pub host: &'a str,
}

/// Succeeds when GET on `path` returns 200 to 399 over HTTP/1.1.
///
/// # Errors
/// The check failed.
pub async fn http1<S>(stream: S, target: Target<'_>, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    judge(path, get(stream, target, path).await?.0.status())
}

/// The same, but `judge` decides by the status and the first `limit` bytes of the body.
///
/// # Errors
/// The error of `judge`, or the request failed.
pub async fn http1_judged<S>(
    stream: S,
    target: Target<'_>,
    path: &str,
    limit: usize,
    judge: impl FnOnce(StatusCode, &[u8]) -> Result<(), Cause>,
) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (response, _connection) = get(stream, target, path).await?;
    let status = response.status();
    let mut body = response.into_body();
    let mut read = Vec::new();
    while read.len() < limit
        && let Some(frame) = body.frame().await
    {
        let data = frame?.into_data().unwrap_or_default();
        let room = limit - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
    }
    judge(status, &read)
}

/// Sends GET; the connection must live until the body of the response has been read.
async fn get<S>(
    stream: S,
    target: Target<'_>,
    path: &str,
) -> Result<(Response<Incoming>, Connection), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = Connection::http1(stream, HEAD_BYTES).await?;
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, target.host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Full::<Bytes>::default())?;
    Ok((connection.send(request).await?, connection))
}

/// The same over HTTP/2.
///
/// # Errors
/// The check failed.
pub async fn http2<S>(stream: S, target: Target<'_>, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = Connection::http2(stream).await?;
    let request = Request::builder()
        .uri(format!("{}://{}{path}", target.scheme, target.host))
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::<Bytes>::default())?;
    judge(path, connection.send(request).await?.status())
}

fn judge(path: &str, status: StatusCode) -> Result<(), Cause> {
    match status.is_success() || status.is_redirection() {
        true => Ok(()),
        false => Err(format!("{path} responded with status {}", status.as_u16()).into()),
    }
}
