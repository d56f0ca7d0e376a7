//! Questions to an app or endpoint: is it well? Each over a connection of its own, on the control thread.

mod grpc;

use std::future::Future;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

pub(crate) use grpc::grpc;

/// Why it is not well.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

const USER_AGENT: &str = concat!("outrigger/", env!("CARGO_PKG_VERSION"));

/// What is asked over a connection.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host, or host and port.
    pub host: &'a str,
}

/// The task of a connection, which ends with its handle: also when the time for an answer is over.
struct Driver(JoinHandle<()>);

impl Driver {
    fn spawn<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> Self
    where
        E: 'static,
    {
        Self(tokio::spawn(async move { drop(connection.await) }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether GET on `path` answers 200 to 399 over HTTP/1.1.
///
/// # Errors
/// Why not.
pub(crate) async fn http1<S>(stream: S, asked: Asked<'_>, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _driver = Driver::spawn(connection);
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, asked.host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Full::<Bytes>::default())?;
    judge(path, sender.send_request(request).await?.status())
}

/// The same over HTTP/2.
///
/// # Errors
/// Why not.
pub(crate) async fn http2<S>(stream: S, asked: Asked<'_>, path: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let _driver = Driver::spawn(connection);
    let request = Request::builder()
        .uri(format!("{}://{}{path}", asked.scheme, asked.host))
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::<Bytes>::default())?;
    judge(path, sender.send_request(request).await?.status())
}

fn judge(path: &str, status: StatusCode) -> Result<(), Cause> {
    match status.is_success() || status.is_redirection() {
        true => Ok(()),
        false => Err(format!("{path} answered {}", status.as_u16()).into()),
    }
}
