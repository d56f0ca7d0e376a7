//! Connections that end unexpectedly: which of them are failures and which are normal.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use outrigger_loadtest::load::{self, FailureKind, Plan, Protocol};
use outrigger_loadtest::origin::Origin;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{PROTOCOLS, forty};

/// Responds to the first request of each connection and closes at the second without a byte.
async fn closes_at_the_second_request() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_once(stream));
        }
    });
    url
}

async fn answer_once(mut stream: TcpStream) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.unwrap() > 0 {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        let _ = stream.read(&mut request).await;
    }
}

fn ten(url: String) -> Plan {
    Plan {
        connections: 1,
        requests: Some(10),
        ..Plan::new(url)
    }
}

#[tokio::test]
async fn a_reused_connection_closed_before_the_first_byte_is_stale_and_the_request_sent_again() {
    let report = load::run(ten(closes_at_the_second_request().await))
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        (report.passed, report.stale, report.connections),
        (10, 9, 10)
    );
}

#[tokio::test]
async fn a_stale_connection_fails_what_must_not_be_sent_twice() {
    let url = closes_at_the_second_request().await;
    for plan in [
        Plan {
            method: Method::POST,
            ..ten(url.clone())
        },
        Plan {
            retry_stale: false,
            ..ten(url.clone())
        },
    ] {
        let report = load::run(plan).await.unwrap();
        assert_eq!(
            (
                report.passed,
                report.failed_by(FailureKind::Stale),
                report.stale
            ),
            (5, 5, 5),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn connection_close_is_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    });
    let report = load::run(ten(url)).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.stale, report.connections), (0, 10));
}

#[tokio::test]
async fn goaway_is_no_failure() {
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(async |_| {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(
                    bytes::Bytes::from("ok"),
                )))
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = &mut connection => return,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            });
        }
    });
    let plan = Plan {
        protocol: Protocol::Http2 { streams: 8 },
        requests: Some(2_000),
        ..ten(url)
    };
    let report = load::run(plan).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.passed, 2_000);
    assert!(report.connections > 1, "{report:?}");
}

#[tokio::test]
async fn an_origin_that_closes_without_a_byte_fails_the_request() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let report = load::run(forty(&origin, "/close-before", protocol))
            .await
            .unwrap();
        assert_eq!(report.failed(), 40, "{report:?}");
        let kind = if protocol == Protocol::Http1 {
            FailureKind::Closed
        } else {
            FailureKind::Reset
        };
        assert_eq!(report.failed_by(kind), 40, "{report:?}");
    }
}

#[tokio::test]
async fn a_port_without_a_listener_is_a_failure_to_connect() {
    // Bound but not listening: no other process can take the port meanwhile.
    let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    reserved
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = reserved.local_addr().unwrap().as_socket().unwrap();
    let url = format!("http://{address}/");
    for protocol in PROTOCOLS {
        let report = load::run(Plan {
            protocol,
            ..ten(url.clone())
        })
        .await
        .unwrap();
        assert_eq!(report.failed_by(FailureKind::Connect), 10, "{report:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_timeout() {
    let origin = Origin::start().await.unwrap();
    for protocol in PROTOCOLS {
        let mut plan = Plan {
            protocol,
            timeout: Duration::from_millis(50),
            ..ten(origin.url("/delay/60000"))
        };
        plan.requests = Some(3);
        let report = load::run(plan).await.unwrap();
        assert_eq!(report.failed_by(FailureKind::Timeout), 3, "{report:?}");
    }
}

#[tokio::test]
async fn load_survives_an_origin_that_is_killed_and_comes_back() {
    for protocol in PROTOCOLS {
        let mut origin = Origin::start().await.unwrap();
        let mut plan = Plan {
            protocol,
            ..Plan::new(origin.url("/delay/1"))
        };
        plan.duration = Some(Duration::from_secs(600));
        let running = load::start(plan).unwrap();
        let hits = |origin: &Origin| origin.stats().requests;
        until(|| hits(&origin) > 20).await;
        origin.stop().await;
        let failed = running.progress().failed;
        until(|| running.progress().failed > failed).await;
        let before = hits(&origin);
        origin.restart().await.unwrap();
        until(|| hits(&origin) > before + 20).await;
        let report = {
            running.stop();
            running.finish().await
        };
        assert!(
            report.passed > 40 && report.failed_by(FailureKind::Connect) > 0,
            "{report:?}"
        );
    }
}

/// Polls a condition; gives up after ten seconds.
async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition never came to hold");
}
