//! Third-party HTTP clients: hyper's, over one connection.

use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::PATIENCE;

pub type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// One connection.
#[derive(Clone)]
pub struct H2(http2::SendRequest<Body>);

/// One connection.
pub struct H1(http1::SendRequest<Body>);

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

impl H2 {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(http2::Builder::new(TokioExecutor::new()), address).await
    }

    /// With settings of one's own.
    pub async fn with(builder: http2::Builder<TokioExecutor>, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(builder, stream).await
    }

    /// Over a connection that exists.
    pub async fn over(
        builder: http2::Builder<TokioExecutor>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Waits until the proxy takes no more requests on it.
    pub async fn closed(&mut self) {
        wait_for_async("GOAWAY", || self.0.is_closed()).await;
    }

    pub async fn try_send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        patient(async {
            self.0.ready().await?;
            self.0.send_request(request).await
        })
        .await
    }

    pub async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// For requests that take longer than others.
    pub async fn send_within(
        &mut self,
        limit: Duration,
        request: Request<Body>,
    ) -> Response<Incoming> {
        self.0.ready().await.unwrap();
        tokio::time::timeout(limit, self.0.send_request(request))
            .await
            .expect("an answer in time")
            .unwrap()
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        Answer::of(
            self.send(request("GET", path).body(full("")).unwrap())
                .await,
        )
        .await
    }
}

impl H1 {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        patient(async {
            self.0.ready().await.unwrap();
            self.0.send_request(request).await.unwrap()
        })
        .await
    }
}

/// A request in the form that HTTP/2 wants.
pub fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("http://a.example{path}"))
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    pub async fn of(response: Response<Incoming>) -> Self {
        Self::try_of(response).await.unwrap()
    }

    pub async fn try_of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = patient(body.collect()).await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Fails the test when it takes too long.
pub async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("an answer in time")
}

/// Asks again and again until it holds, for at most [`PATIENCE`].
pub async fn wait_for_async(what: &str, holds: impl Fn() -> bool) {
    let asked = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, asked).await.is_ok(),
        "waited in vain for {what}"
    );
}
