//! gRPC with tonic on both ends: with `protocol: auto`, gRPC requests use HTTP/2.
//!
//! Messages are plain bytes with a codec of this test, so that no code is generated.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use futures_util::{Stream, StreamExt, future::BoxFuture, stream};
use http::{Request as HttpRequest, Response as HttpResponse, uri::PathAndQuery};
use hyper::{
    body::Incoming, client::conn::http2, server::conn::http2 as server, service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_loadtest::origin::Origin;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc as Client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{
        ClientStreamingService, Grpc as Server, ServerStreamingService, StreamingService,
        UnaryService,
    },
};

use crate::{
    egress,
    idle::grpc as idle,
    support::{Proxy, client::patient, front, pki::Ca, tls::Maker},
    tls::Setup,
};

/// Messages as they are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// The service: echoes, counts, and fails on request.
#[derive(Clone, Copy)]
struct Echo;

pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let message = request.into_inner();
            if message == "fail" {
                let mut status = Status::already_exists("there is one: ünique");
                status
                    .metadata_mut()
                    .insert("x-detail", "seven".parse().unwrap());
                return Err(status);
            }
            let mut response = Response::new(message);
            response
                .metadata_mut()
                .insert("x-head", "six".parse().unwrap());
            Ok(response)
        })
    }
}

impl ServerStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let message = request.into_inner();
        let messages = stream::iter(0..5).map(move |number| match number {
            4 => Err(Status::data_loss("after four")),
            _ => Ok(message.clone()),
        });
        Box::pin(async move { Ok(Response::new(Box::pin(messages) as Messages)) })
    }
}

impl ClientStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut total = 0;
            while let Some(message) = messages.message().await? {
                total += message.len();
            }
            Ok(Response::new(total.to_string().into()))
        })
    }
}

impl StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(Box::pin(request.into_inner()) as Messages)) })
    }
}

async fn serve(request: HttpRequest<Incoming>) -> Result<HttpResponse<Body>, Infallible> {
    let mut grpc = Server::new(Plain);
    Ok(match request.uri().path() {
        "/test.Echo/Unary" => grpc.unary(Echo, request).await,
        "/test.Echo/Down" => grpc.server_streaming(Echo, request).await,
        "/test.Echo/Up" => grpc.client_streaming(Echo, request).await,
        "/test.Echo/Both" => grpc.streaming(Echo, request).await,
        "/test.Idle/Down" => grpc.streaming(idle::Down, request).await,
        "/test.Idle/Up" => grpc.streaming(idle::Up, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    })
}

/// A gRPC app on a free port, until the test's runtime ends.
pub async fn app() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = server::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(serve));
            tokio::spawn(connection);
        }
    });
    port
}

/// hyper's connection as the service that tonic's client wants.
#[derive(Clone)]
pub(crate) struct Channel(http2::SendRequest<Body>);

impl tower::Service<HttpRequest<Body>> for Channel {
    type Response = HttpResponse<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<HttpResponse<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

pub(crate) async fn client(address: SocketAddr) -> Client<Channel> {
    client_over(TcpStream::connect(address).await.unwrap(), address).await
}

pub(crate) async fn client_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
) -> Client<Channel> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut client = Client::with_origin(
        Channel(sender),
        format!("http://{address}").parse().unwrap(),
    );
    client.ready().await.unwrap();
    client
}

pub fn method(name: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(name)
}

fn unary() -> PathAndQuery {
    method("/test.Echo/Unary")
}

#[tokio::test]
async fn all_four_kinds_of_call_pass() {
    let proxy = Proxy::in_front_of_port(app().await);
    let mut client = client(proxy.inbound()).await;
    let answer = patient(client.unary(Request::new(Bytes::from("hello")), unary(), Plain))
        .await
        .unwrap();
    assert_eq!(
        (
            &**answer.get_ref(),
            answer.metadata().get("x-head").unwrap().as_bytes()
        ),
        (&b"hello"[..], &b"six"[..])
    );
    let large = Bytes::from(vec![7; 3_000_000]);
    let answer = patient(client.unary(Request::new(large.clone()), unary(), Plain))
        .await
        .unwrap();
    assert_eq!(answer.into_inner(), large);

    let request = Request::new(Bytes::from("down"));
    let mut down = patient(client.server_streaming(request, method("/test.Echo/Down"), Plain))
        .await
        .unwrap()
        .into_inner();
    for _ in 0..4 {
        assert_eq!(patient(down.message()).await.unwrap().unwrap(), "down");
    }
    let status = patient(down.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "after four")
    );

    let up = stream::iter((0..100).map(|_| Bytes::from(vec![0; 10_000])));
    let answer = patient(client.client_streaming(Request::new(up), method("/test.Echo/Up"), Plain))
        .await
        .unwrap();
    assert_eq!(answer.into_inner(), "1000000");
}

#[tokio::test]
async fn calls_pass_over_tls() {
    let setup = Setup::in_front_of(app().await, "", |_, _| {});
    let secure = Maker::new(&setup.ca)
        .alpn(&["h2"])
        .done()
        .stream(setup.address())
        .await
        .unwrap();
    let mut client = client_over(secure, setup.address()).await;
    for size in [0, 5, 3_000_000] {
        let message = Bytes::from(vec![7; size]);
        let answer = patient(client.unary(Request::new(message.clone()), unary(), Plain))
            .await
            .unwrap();
        assert_eq!(answer.into_inner(), message);
    }
    let status = patient(client.unary(Request::new(Bytes::from("fail")), unary(), Plain))
        .await
        .unwrap_err();
    assert_eq!(
        (
            status.code(),
            status.metadata().get("x-detail").unwrap().as_bytes()
        ),
        (Code::AlreadyExists, &b"seven"[..])
    );
}

/// HTTP/2 on both sides of an outbound listener: with prior knowledge, and agreed on inside TLS.
#[tokio::test]
async fn an_app_calls_services_outside() {
    let service = SocketAddr::from(([127, 0, 0, 1], app().await));
    let ca = Ca::new("Outside");
    let leaf = egress::server(&ca);
    let front = front::Maker::new(&leaf).before(service);
    let plain = format!("    endpoints: [{{ url: \"http://{service}\" }}]\n    protocol: h2c\n");
    for proxy in [
        egress::start(&plain, |_| {}),
        egress::to_front(&front, &ca, ""),
    ] {
        let mut client = client(proxy.address("out")).await;
        for size in [0, 5, 3_000_000] {
            let message = Bytes::from(vec![7; size]);
            let answer = patient(client.unary(Request::new(message.clone()), unary(), Plain))
                .await
                .unwrap();
            assert_eq!(answer.into_inner(), message);
        }
        let up = stream::iter((0..100).map(|_| Bytes::from(vec![0; 10_000])));
        let call = client.client_streaming(Request::new(up), method("/test.Echo/Up"), Plain);
        assert_eq!(patient(call).await.unwrap().into_inner(), "1000000");
    }
}

#[tokio::test]
async fn both_sides_stream_in_turn() {
    let proxy = Proxy::in_front_of_port(app().await);
    let mut client = client(proxy.inbound()).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let up = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    let call = client.streaming(Request::new(up), method("/test.Echo/Both"), Plain);
    let mut down = patient(call).await.unwrap().into_inner();
    for number in 0..20 {
        sender
            .send(format!("message {number}").into())
            .await
            .unwrap();
        assert_eq!(
            patient(down.message()).await.unwrap().unwrap(),
            format!("message {number}")
        );
    }
    drop(sender);
    assert!(patient(down.message()).await.unwrap().is_none());
    let line = proxy.logged(|line| line["path"] == "/test.Echo/Both");
    assert_eq!(
        (&line["status"], &line["protocol"], &line["flag"]),
        (&200.into(), &"HTTP/2".into(), &"".into())
    );
}

#[tokio::test]
async fn the_apps_error_status_and_its_metadata_are_kept() {
    let proxy = Proxy::in_front_of_port(app().await);
    let mut client = client(proxy.inbound()).await;
    let status = patient(client.unary(Request::new(Bytes::from("fail")), unary(), Plain))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::AlreadyExists, "there is one: ünique")
    );
    assert_eq!(status.metadata().get("x-detail").unwrap(), "seven");
    let status =
        patient(client.unary(Request::new(Bytes::new()), method("/test.Echo/None"), Plain))
            .await
            .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "no such method")
    );
    assert_eq!(
        proxy.logged(|line| line["path"] == "/test.Echo/None")["flag"],
        ""
    );
}

#[tokio::test]
async fn errors_of_the_proxy_are_told_in_grpcs_own_way() {
    let silent = Origin::start().await.unwrap();
    silent.stall();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::start(&format!(
        "app: {{ port: {} }}\nlisteners: [{{ port: 0, limits: {{ bodyBytes: 1KiB }} }}]\nupstreams:\n  \
         slow: {{ endpoints: [{{ url: \"{}\" }}] }}\nroutes:\n- {{ name: down, matches: [{{ path: /test.Echo/Unary }}] }}\n\
         - {{ name: slow, matches: [{{ path: /test.Echo/Slow }}], timeouts: {{ request: 300ms }}, backendRefs: [slow] }}\n",
        free.port(),
        silent.url("")
    ));
    let mut client = client(proxy.inbound()).await;
    for (path, length, code, flag) in [
        ("/test.Echo/Unary", 5, Code::Unavailable, "UF"),
        ("/test.None/At", 5, Code::Unimplemented, "NR"),
        ("/test.Echo/Slow", 5, Code::DeadlineExceeded, "UT"),
        ("/test.Echo/Slow", 5000, Code::ResourceExhausted, "LIM"),
    ] {
        let request = Request::new(Bytes::from(vec![b'x'; length]));
        let status = patient(client.unary(request, method(path), Plain))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{path}: {status:?}");
        let line = proxy.logged(|line| line["path"] == path && line["flag"] == flag);
        assert_eq!(line["status"], 200);
    }
}

#[tokio::test]
async fn a_cancelled_call_leaves_the_connection_to_others() {
    let proxy = Proxy::in_front_of_port(app().await);
    let mut client = client(proxy.inbound()).await;
    for _ in 0..3 {
        let endless = stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Some((Bytes::from("again"), ()))
        });
        let call = client.streaming(Request::new(endless), method("/test.Echo/Both"), Plain);
        let mut down = patient(call).await.unwrap().into_inner();
        assert_eq!(patient(down.message()).await.unwrap().unwrap(), "again");
        drop(down);
        let answer = patient(client.unary(Request::new(Bytes::from("on")), unary(), Plain))
            .await
            .unwrap();
        assert_eq!(answer.into_inner(), "on");
    }
    let accepted = r#"outrigger_downstream_connections_total{listener="in-0"}"#;
    assert!(
        (proxy.metric(accepted) - 1.0).abs() < 0.5,
        "no connection was given up"
    );
}
