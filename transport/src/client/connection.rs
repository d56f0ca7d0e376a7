//! One HTTP connection over an open stream.

use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

/// An open HTTP connection. A task of the current runtime drives it, and ends with it.
pub struct Connection {
    sender: Sender,
    _driver: Driver,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Aborts the connection's task when the handle is dropped, also after a response timeout.
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

/// A request without a response.
pub(super) struct FailedRequest {
    pub(super) error: hyper::Error,
    /// The request, when no byte of it was sent.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl From<TrySendError<Request<Full<Bytes>>>> for FailedRequest {
    fn from(mut failed: TrySendError<Request<Full<Bytes>>>) -> Self {
        let unsent = failed.take_message();
        Self {
            error: failed.into_error(),
            unsent,
        }
    }
}

impl Connection {
    /// Opens an HTTP/1.1 connection. A response head longer than `head_bytes` is a connection
    /// error.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn http1<S>(stream: S, head_bytes: usize) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(head_bytes);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender: Sender::Http1(sender),
            _driver: Driver::spawn(connection),
        })
    }

    /// Opens an HTTP/2 connection.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn http2<S>(stream: S) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        Ok(Self {
            sender: Sender::Http2(sender),
            _driver: Driver::spawn(connection),
        })
    }

    /// Sends a request in the form that the protocol requires: in HTTP/1.1 the target is a path.
    ///
    /// # Errors
    /// The connection failed, or the response is not HTTP.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        }
    }

    /// The same on a reused connection; returns a request that was not sent.
    pub(super) async fn try_send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, FailedRequest> {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        if let Err(error) = ready {
            let unsent = Some(request);
            return Err(FailedRequest { error, unsent });
        }
        let response = match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        response.map_err(FailedRequest::from)
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}
