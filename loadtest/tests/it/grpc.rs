//! Unary gRPC calls, and responses that only look like one.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_loadtest::content;
use outrigger_loadtest::load::{self, FailureKind, Plan, Protocol};
use outrigger_loadtest::origin::Origin;
use tokio::net::TcpListener;

use super::tls::{Ca, ORDINARY};

fn calls(url: String, size: u64) -> Plan {
    let protocol = Protocol::Http2 { streams: 4 };
    let (connections, requests) = (2, Some(40));
    Plan {
        grpc: true,
        protocol,
        connections,
        requests,
        body_size: Some(size),
        ..Plan::new(url)
    }
}

#[tokio::test]
async fn messages_come_back_with_and_without_tls() {
    let (ca, origin) = (Ca::new(), Origin::start().await.unwrap());
    let address = ca.serve(&origin, ORDINARY).await;
    for size in [0, 100, 200_000] {
        let plain = calls(origin.url("/echo.Echo/Unary"), size);
        let tls = Plan {
            tls: Some(ca.plan()),
            ..calls(format!("https://{address}/echo.Echo/Unary"), size)
        };
        for plan in [plain, tls] {
            let report = load::run(plan).await.unwrap();
            assert!(report.is_clean(), "{size}: {report:?}");
            assert_eq!(report.body_bytes, 40 * (size + 5));
        }
    }
    assert_eq!(origin.hits_of("echo.Echo"), 240);
}

/// Responds as its path says.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = hyper::Error>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    assert_eq!(
        (
            request.headers()["content-type"].as_bytes(),
            request.headers()["te"].as_bytes()
        ),
        (&b"application/grpc"[..], &b"trailers"[..])
    );
    let message = request.into_body().collect().await?.to_bytes();
    assert_eq!(message, content::message(10));
    let (message, status) = match path.as_str() {
        "/other" => (content::message(11).slice(..15), Some("0")),
        "/short" => (message.slice(..14), Some("0")),
        "/failed" => (message, Some("7")),
        "/silent" => (message, None),
        _ => (message, Some("0")),
    };
    let trailers = status.map(|status| {
        Ok(HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static(status),
        )]))
    });
    let body = Full::new(message)
        .map_err(|never| match never {})
        .with_trailers(async move { trailers });
    let kind = if path == "/html" {
        "text/html"
    } else {
        "application/grpc+proto"
    };
    Ok(Response::builder()
        .header("content-type", kind)
        .body(body)
        .unwrap())
}

#[tokio::test]
async fn what_only_looks_like_an_answer_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    for (path, kind) in [
        ("/right", None),
        ("/other", Some(FailureKind::Checksum)),
        ("/short", Some(FailureKind::Length)),
        ("/failed", Some(FailureKind::GrpcStatus(7))),
        ("/silent", Some(FailureKind::Protocol)),
        ("/html", Some(FailureKind::Protocol)),
    ] {
        let report = load::run(calls(format!("http://{address}{path}"), 10))
            .await
            .unwrap();
        match kind {
            None => assert!(report.is_clean(), "{path}: {report:?}"),
            Some(kind) => assert_eq!(report.failed_by(kind), 40, "{path}: {report:?}"),
        }
    }
    // A call that fails at once has its status in the head.
    let origin = Origin::start().await.unwrap();
    let plan = Plan {
        protocol: Protocol::Http1,
        ..calls(origin.url("/"), 10)
    };
    assert!(load::run(plan).await.is_err(), "gRPC requires HTTP/2");
}
