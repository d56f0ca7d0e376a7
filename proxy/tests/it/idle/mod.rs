//! Idle exchanges, and exchanges of which only one side moves.
//!
//! While the response head is awaited, `bodyIdle` bounds the silence of the client. From the response head on,
//! `streamIdle` bounds the time in which neither side moves.

pub mod grpc;
mod rest;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, future::join_all, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::{
    support::{
        Proxy,
        client::{Answer, Body, H1, H2, full, patient, request},
        tls::Maker,
    },
    tls::Setup,
};

/// Between two movements of the side that moves.
const TICK: Duration = Duration::from_millis(100);

/// So many last for more than twice the limit below.
const TICKS: usize = 45;

/// Both limits, long enough for a busy machine to move within.
const LIMIT: &str = "2s";

/// For exchanges that are to be cut.
const SHORT: &str = "500ms";

/// More than any test lasts.
const NEVER: &str = "5m";

/// When a response goes on whose client pauses for [`PAUSE`]. The app is silent for longer than the limit, but for most of
/// that time the proxy reads nothing from it.
const SOON: Duration = Duration::from_millis(300);
const LATER: Duration = Duration::from_millis(3500);
const PAUSE: Duration = Duration::from_millis(3000);

/// Something every [`TICK`].
fn ticks() -> impl Stream<Item = Bytes> + Send {
    stream::iter(0..TICKS).then(|_| async {
        sleep(TICK).await;
        Bytes::from("tick\n")
    })
}

fn streamed(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)))).boxed_unsync()
}

/// Nothing, until the test says so.
fn end_when(told: Arc<Notify>) -> impl Stream<Item = Bytes> + Send {
    stream::once(async move { told.notified().await }).filter_map(|()| async { None })
}

/// How many bytes came to the end of a request, or that it broke.
async fn count(body: Incoming) -> Bytes {
    let came = body
        .collect()
        .await
        .map(|body| body.to_bytes().len().to_string());
    came.unwrap_or_else(|_| "broken".to_owned()).into()
}

/// An app that answers at once, or at the end of the request, and moves as the path says.
async fn answer(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    Response::new(match head.uri.path() {
        "/down" => streamed(ticks().chain(stream::once(count(body)))),
        "/up" => streamed(stream::once(async { "go\n".into() }).chain(stream::once(count(body)))),
        "/silent" => {
            let never = stream::once(async move {
                std::future::pending::<()>().await;
                drop(body);
                Bytes::new()
            });
            streamed(stream::once(async { "go\n".into() }).chain(never))
        }
        "/pause" => {
            drop(body);
            let piece = Bytes::from(vec![b'x'; 1500]);
            let pieces = [(SOON, piece.clone()), (SOON, piece), (LATER, "end".into())];
            streamed(stream::iter(pieces).then(|(after, piece)| async move {
                sleep(after).await;
                piece
            }))
        }
        "/late" => full(count(body).await),
        "/early/read" => {
            tokio::spawn(count(body));
            full("early")
        }
        "/early/held" => {
            tokio::spawn(async {
                std::future::pending::<()>().await;
                drop(body);
            });
            full("early")
        }
        _ => full("hello"),
    })
}

/// Serves [`answer`] until the test's runtime ends.
async fn app(protocol: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let http2 = protocol == "h2c";
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                let _ = match http2 {
                    true => {
                        http2::Builder::new(TokioExecutor::new())
                            .serve_connection(io, service)
                            .await
                    }
                    false => http1::Builder::new().serve_connection(io, service).await,
                };
            });
        }
    });
    address
}

/// A proxy in front of the app.
fn inbound(app: SocketAddr, protocol: &str, body_idle: &str, stream_idle: &str) -> Proxy {
    Proxy::start(&format!(
        "app: {{ port: {}, protocol: {protocol} }}\nlisteners: [{{ port: 0, timeouts: {{ bodyIdle: {body_idle} }} }}]\n\
         defaults: {{ timeouts: {{ streamIdle: {stream_idle} }} }}\n",
        app.port()
    ))
}

/// A proxy through which an app calls this service.
fn outbound(service: SocketAddr, protocol: &str, body_idle: &str, stream_idle: &str) -> Proxy {
    Proxy::start(&format!(
        "listeners: [{{ name: in-0, port: 0, direction: outbound, timeouts: {{ bodyIdle: {body_idle} }} }}]\n\
         upstreams: {{ u: {{ endpoints: [{{ url: \"http://{service}\" }}], protocol: {protocol} }} }}\n\
         defaults: {{ timeouts: {{ streamIdle: {stream_idle} }} }}\n\
         routes: [{{ name: u, listeners: [in-0], backendRefs: [u] }}]\n"
    ))
}

/// The same as [`inbound`], over TLS.
fn secure(app: SocketAddr) -> Setup {
    let lines = format!(
        "    timeouts: {{ bodyIdle: {LIMIT} }}\ndefaults: {{ timeouts: {{ streamIdle: {LIMIT} }} }}\n"
    );
    Setup::in_front_of(app.port(), &lines, |_, _| {})
}

enum Client {
    Http1(H1),
    Http2(H2),
}

impl Client {
    async fn http1(address: SocketAddr) -> Self {
        Self::Http1(H1::connect(address).await)
    }

    async fn http2(address: SocketAddr) -> Self {
        Self::Http2(H2::connect(address).await)
    }

    async fn send(&mut self, path: &str, body: Body) -> Response<Incoming> {
        let request = request("POST", path)
            .header("host", "a.example")
            .body(body)
            .unwrap();
        match self {
            Self::Http1(client) => client.send(request).await,
            Self::Http2(client) => client.send(request).await,
        }
    }

    /// The client is silent until it has all of what the app sends.
    async fn only_the_app_moves(mut self) {
        let told = Arc::new(Notify::new());
        let body =
            streamed(stream::once(async { "first".into() }).chain(end_when(Arc::clone(&told))));
        let mut down = self.send("/down", body).await.into_body();
        let mut came = String::new();
        while let Some(frame) = patient(down.frame()).await {
            let data = frame.expect("it is not cut").into_data().unwrap();
            came.push_str(std::str::from_utf8(&data).unwrap());
            if came.matches("tick").count() == TICKS {
                told.notify_one();
            }
        }
        assert_eq!(came, "tick\n".repeat(TICKS) + "5");
    }

    /// The app is silent until it has all of what the client sends.
    async fn only_the_client_moves(mut self) {
        let answer = patient(Answer::try_of(self.send("/up", streamed(ticks())).await)).await;
        assert_eq!(
            answer.expect("it is not cut").text(),
            format!("go\n{}", TICKS * "tick\n".len())
        );
    }

    /// After the head of the answer and some of its body nothing moves.
    async fn nothing_moves(mut self) {
        let body = streamed(stream::once(async { "first".into() }).chain(end_when(Arc::default())));
        let answer = self.send("/silent", body).await;
        assert_eq!(answer.status(), 200);
        assert!(Answer::try_of(answer).await.is_err(), "cut");
    }
}

/// Each protocol on each side.
async fn pairs(
    proxy: fn(SocketAddr, &str, &str, &str) -> Proxy,
    body_idle: &str,
    stream_idle: &str,
) -> Vec<(Proxy, Client)> {
    let mut all = Vec::new();
    for protocol in ["http1", "h2c"] {
        let app = app(protocol).await;
        let proxies = [(); 2].map(|()| proxy(app, protocol, body_idle, stream_idle));
        let [one, two] = proxies;
        let (first, second) = (
            Client::http1(one.inbound()).await,
            Client::http2(two.inbound()).await,
        );
        all.extend([(one, first), (two, second)]);
    }
    all
}

async fn only_the_app_moves((proxy, client): (Proxy, Client)) {
    client.only_the_app_moves().await;
    let line = proxy.logged(|line| line["path"] == "/down");
    assert_eq!((&line["status"], &line["flag"]), (&200.into(), &"".into()));
}

async fn only_the_client_moves((proxy, client): (Proxy, Client)) {
    client.only_the_client_moves().await;
    let line = proxy.logged(|line| line["path"] == "/up");
    assert_eq!((&line["status"], &line["flag"]), (&200.into(), &"".into()));
}

#[tokio::test]
async fn an_app_that_keeps_sending_is_not_cut_because_its_client_is_silent() {
    join_all(
        pairs(inbound, LIMIT, LIMIT)
            .await
            .into_iter()
            .map(only_the_app_moves),
    )
    .await;
}

#[tokio::test]
async fn a_client_that_keeps_sending_is_not_cut_because_the_app_is_silent() {
    join_all(
        pairs(inbound, LIMIT, LIMIT)
            .await
            .into_iter()
            .map(only_the_client_moves),
    )
    .await;
}

#[tokio::test]
async fn one_side_may_be_silent_on_the_way_out_too() {
    let down = pairs(outbound, LIMIT, LIMIT)
        .await
        .into_iter()
        .map(only_the_app_moves);
    let up = pairs(outbound, LIMIT, LIMIT)
        .await
        .into_iter()
        .map(only_the_client_moves);
    tokio::join!(join_all(down), join_all(up));
}

#[tokio::test]
async fn one_side_may_be_silent_inside_tls() {
    let app = app("http1").await;
    let setup = secure(app);
    let (maker, address) = (Maker::new(&setup.ca).alpn(&["h2"]).done(), setup.address());
    let connect = async || {
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        Client::Http2(H2::over(builder, maker.stream(address).await.unwrap()).await)
    };
    let (down, up) = (connect().await, connect().await);
    tokio::join!(down.only_the_app_moves(), up.only_the_client_moves());
}

#[tokio::test]
async fn an_exchange_of_which_neither_side_moves_is_cut_after_stream_idle() {
    for (proxy, client) in pairs(inbound, NEVER, SHORT).await {
        client.nothing_moves().await;
        let line = proxy.logged(|line| line["path"] == "/silent");
        assert_eq!(
            (&line["status"], &line["flag"], &line["reason"]),
            (&200.into(), &"UT".into(), &"timeout.stream_idle".into())
        );
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_a_while_is_not_taken_for_a_silent_app() {
    let proxy = inbound(app("http1").await, "http1", NEVER, LIMIT);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(500);
    let mut client = Client::Http2(H2::with(builder, proxy.inbound()).await);
    let answer = client.send("/pause", full("")).await;
    sleep(PAUSE).await;
    let answer = Answer::try_of(answer).await.expect("it is not cut");
    assert!(answer.text().ends_with("xend"));
}

#[tokio::test]
async fn body_idle_does_not_cut_an_exchange_whose_answer_has_begun() {
    for (proxy, client) in pairs(inbound, SHORT, LIMIT).await {
        client.nothing_moves().await;
        let line = proxy.logged(|line| line["path"] == "/silent");
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&"UT".into(), &"timeout.stream_idle".into())
        );
    }
}

#[tokio::test]
async fn a_body_that_is_awaited_before_the_answer_is_given_up_after_body_idle() {
    for (proxy, mut client) in pairs(inbound, SHORT, NEVER).await {
        let told = Arc::new(Notify::new());
        let body = streamed(stream::once(async { "first".into() }).chain(end_when(told)));
        assert_eq!(client.send("/late", body).await.status(), 408);
        let line = proxy.logged(|line| line["path"] == "/late");
        assert_eq!(
            (&line["flag"], &line["reason"]),
            (&"SLOW".into(), &"timeout.body_idle".into())
        );
    }
}
