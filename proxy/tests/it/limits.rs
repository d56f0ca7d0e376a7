//! What a client may send and how long it may take.

use std::{net::TcpStream, thread, time::Duration};

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use outrigger_loadtest::origin::Origin;
use tokio::time::Instant;

use crate::support::{
    PATIENCE, Proxy,
    client::{Answer, H2, full, request, wait_for_async},
    http, origin, wait_for,
    wire::{App, Wire, header, status},
};

const SLOW_READ: &str = r#"outrigger_downstream_rejected_total{reason="timeout.slow_read"}"#;

/// One worker, one listener with these settings.
fn proxy(port: u16, listener: &str) -> Proxy {
    Proxy::start(&format!(
        "workers: 1\napp: {{ port: {port} }}\nlisteners: [{{ port: 0, {listener} }}]\n"
    ))
}

#[test]
fn a_known_length_over_the_limit_is_refused_before_anything_is_sent_on() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "limits: { bodyBytes: 1KiB }");
    let answer = http(
        proxy.inbound(),
        "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(origin.stats().connections, 0);
    let line = proxy.logged(|line| line["status"] == 413);
    assert_eq!(
        (&line["flag"], &line["reason"], &line["attempts"]),
        (&"LIM".into(), &"limit.body".into(), &0.into())
    );
    assert!(
        (proxy.metric(r#"outrigger_downstream_rejected_total{reason="limit.body"}"#) - 1.0).abs()
            < 0.5
    );
    let exactly = format!(
        "POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    assert_eq!(status(&Wire::connect(proxy.inbound()).ask(&exactly).0), 200);
}

#[test]
fn a_body_of_unknown_length_is_cut_at_the_limit() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "limits: { bodyBytes: 1KiB }");
    let mut wire = Wire::connect(proxy.inbound());
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    wire.send("POST /sink HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    wire.send(chunk.repeat(3));
    let head = wire.head();
    assert_eq!(
        (status(&head), header(&head, "connection")),
        (413, Some("close")),
        "{head}"
    );
    assert_eq!(proxy.logged(|line| line["status"] == 413)["flag"], "LIM");
    wait_for("the app's connection to end", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}

#[tokio::test]
async fn body_limits_hold_for_http_2_as_well() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "limits: { bodyBytes: 1KiB }");
    let mut client = H2::connect(proxy.inbound()).await;
    let post = request("POST", "/sink")
        .header("content-length", "5000")
        .body(full(vec![0; 5000]))
        .unwrap();
    assert_eq!(client.send(post).await.status(), 413);
    assert_eq!(client.get("/").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_http_2_head_over_the_limit_is_answered_and_logged() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "limits: { headerBytes: 16KiB }");
    let mut client = H2::connect(proxy.inbound()).await;
    for (length, expected) in [(16_000, 200), (16_500, 431), (28_000, 431)] {
        let get = request("GET", "/")
            .header("x-big", "v".repeat(length))
            .body(full(""))
            .unwrap();
        assert_eq!(client.send(get).await.status(), expected, "{length}");
    }
    let line = proxy.logged(|line| line["status"] == 431);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"LIM".into(), &"limit.headers".into())
    );
}

#[test]
fn heads_over_a_limit_are_refused_by_the_limit_that_they_break() {
    let origin = origin();
    let proxy = proxy(
        origin.address().port(),
        "limits: { headerBytes: 8KiB, headers: 10, targetBytes: 64B }",
    );
    let long = "v".repeat(9000);
    let many: String = (0..11).map(|n| format!("x-{n}: 1\r\n")).collect();
    let just: String = (0..9).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (request, expected) in [
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
            431,
        ),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), 431),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "p".repeat(64)),
            414,
        ),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{just}\r\n"), 200),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "p".repeat(63)),
            404,
        ),
    ] {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(&request);
        let head = wire.head();
        assert_eq!(status(&head), expected, "{}: {head}", &request[..30]);
        if matches!(expected, 431 | 414) {
            proxy.logged(|line| line["status"] == expected && line["flag"] == "LIM");
        }
    }
    assert_eq!(origin.hits(), 2);
}

#[test]
fn a_worker_that_waits_for_connections_keeps_no_place_from_the_other() {
    let origin = origin();
    let proxy = Proxy::start(&format!(
        "workers: 2\napp: {{ port: {} }}\nlisteners: [{{ port: 0, limits: {{ connections: 1 }} }}]\n",
        origin.address().port()
    ));
    for _ in 0..16 {
        // The kernel chooses the worker by the client's port.
        let answer = http(
            proxy.inbound(),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn streams_over_the_limit_wait_their_turn() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "limits: { streams: 2 }");
    let mut client = H2::connect(proxy.inbound()).await;
    assert_eq!(client.get("/").await.status, 200); // the settings have come
    origin.stall();
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/bytes/1").await.status })
        })
        .collect();
    wait_for_async("two of them", || origin.hits_of("bytes") >= 2).await;
    // A request that comes after all of them goes past those that wait: there is one worker.
    let mut other = H2::connect(proxy.inbound()).await;
    let control = tokio::spawn(async move { other.get("/status/204").await.status });
    wait_for_async("the control", || origin.hits_of("status") == 1).await;
    assert_eq!(origin.hits_of("bytes"), 2);
    origin.resume();
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(control.await.unwrap(), 204);
}

#[test]
fn a_slow_head_gets_408() {
    let origin = origin();
    let proxy = proxy(
        origin.address().port(),
        "timeouts: { requestHeaders: 300ms }",
    );
    for start in ["G", "GET / HTTP/1.1\r\nhost: a\r\n", "PRI * HTTP"] {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(start);
        let (head, body) = wire.answer();
        assert_eq!(
            (status(&head), header(&head, "connection")),
            (408, Some("close")),
            "{start:?}: {head}"
        );
        assert!(body.contains("too slow"));
        assert_eq!(wire.rest(), "");
    }
    let line = proxy.logged(|line| line["status"] == 408);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"SLOW".into(), &"timeout.request_headers".into())
    );
    assert!(
        proxy.metric(r#"outrigger_downstream_rejected_total{reason="timeout.request_headers"}"#)
            > 2.5
    );
    // The second request of a connection, and one whose beginning came with the first.
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /");
    assert_eq!(wire.answer().1, "Hello, world!");
    assert_eq!(status(&wire.answer().0), 408);
    assert_eq!(origin.hits(), 1);
}

#[test]
fn a_slow_body_gets_408() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "timeouts: { bodyIdle: 300ms }");
    for framing in [
        "content-length: 10\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut wire = Wire::connect(proxy.inbound());
        wire.send(format!("POST /sink HTTP/1.1\r\nhost: a\r\n{framing}"));
        let (head, body) = wire.answer();
        assert_eq!(
            (status(&head), header(&head, "connection")),
            (408, Some("close")),
            "{head}"
        );
        assert!(body.contains("request body too slow"), "{body}");
    }
    let line = proxy.logged(|line| line["status"] == 408);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"SLOW".into(), &"timeout.body_idle".into())
    );
    wait_for("the app to be let go", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}

#[test]
fn a_body_that_keeps_moving_is_not_too_slow() {
    let origin = origin();
    // In all it takes longer than each of them, and each pause is far shorter.
    let proxy = proxy(
        origin.address().port(),
        "timeouts: { bodyIdle: 5s, requestHeaders: 5s, idle: 5s }",
    );
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(550));
        wire.send("x");
    }
    assert_eq!(status(&wire.answer().0), 200);
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "timeouts: { idle: 5s }");
    let (mut silent, mut wire) = (
        Wire::connect(proxy.inbound()),
        Wire::connect(proxy.inbound()),
    );
    for _ in 0..5 {
        assert_eq!(
            status(&wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").0),
            200
        );
        thread::sleep(Duration::from_millis(1_100)); // its buffers are given back meanwhile
    }
    assert_eq!(silent.rest(), "");
    assert_eq!(wire.rest(), "");
    assert!(!proxy.stdout().contains("\"status\":408"));
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "timeouts: { idle: 300ms }");
    let mut client = H2::connect(proxy.inbound()).await;
    assert_eq!(client.get("/").await.status, 200);
    let open = r#"outrigger_downstream_connections_active{listener="in-0"}"#;
    wait_for_async("the end of the connection", || proxy.metric(open) < 0.5).await;
    assert!(
        client
            .try_send(request("GET", "/").body(full("")).unwrap())
            .await
            .is_err()
    );
}

#[test]
fn an_old_connection_ends_with_its_next_answer() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "timeouts: { connectionAge: 5s }");
    let mut wire = Wire::connect(proxy.inbound());
    let (head, _) = wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(header(&head, "connection"), None, "{head}");
    thread::sleep(Duration::from_millis(5_100));
    let (head, _) = wire.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(header(&head, "connection"), Some("close"), "{head}");
    assert_eq!(wire.rest(), "");
}

#[tokio::test]
async fn an_old_http_2_connection_is_asked_to_end_and_finishes_what_it_began() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "timeouts: { connectionAge: 5s }");
    let mut client = H2::connect(proxy.inbound()).await;
    assert_eq!(client.get("/drip/7/1000").await.text().lines().count(), 7);
    // The GOAWAY came meanwhile.
    assert!(
        client
            .try_send(request("GET", "/").body(full("")).unwrap())
            .await
            .is_err()
    );
}

#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "timeouts: { bodyIdle: 500ms }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("GET /bytes/1073741824 HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head();
    let line = proxy.logged(|line| line["path"] == "/bytes/1073741824");
    assert!(line["bytesOut"].as_u64().unwrap() < 1 << 30);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"SLOW".into(), &"timeout.slow_read".into())
    );
    assert!((proxy.metric(SLOW_READ) - 1.0).abs() < 0.5);
    wait_for("the app to be let go", || {
        (origin.stats().open_connections == 0).then_some(())
    });
}

#[tokio::test]
async fn an_http_2_stream_that_takes_nothing_is_reset_and_the_others_go_on() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "timeouts: { bodyIdle: 500ms }");
    for window in [0, 1000] {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let mut client = H2::with(builder, proxy.inbound()).await;
        let path = format!("/bytes/{}", 10_000_000 + window);
        let held = client
            .send(request("GET", &path).body(full("")).unwrap())
            .await;
        assert_eq!(held.status(), 200);
        let deadline = Instant::now() + PATIENCE;
        let line = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(client.get("/status/204").await.status, 204);
            if let Some(line) = proxy.stdout().lines().find(|line| line.contains(&path)) {
                break line.to_owned();
            }
            assert!(Instant::now() < deadline, "it is not reset");
        };
        assert!(
            line.contains(r#""flag":"SLOW","reason":"timeout.slow_read""#),
            "{line}"
        );
        assert!(Answer::try_of(held).await.is_err());
    }
    assert!((proxy.metric(SLOW_READ) - 2.0).abs() < 0.5);
    wait_for("the app to be let go", || {
        (origin.stats().open_connections <= 1).then_some(())
    });
}

#[tokio::test]
async fn a_slow_app_is_not_taken_for_a_slow_client() {
    let origin = Origin::start().await.unwrap();
    let proxy = proxy(origin.address().port(), "timeouts: { bodyIdle: 200ms }");
    let mut client = H2::connect(proxy.inbound()).await;
    assert_eq!(
        client.get("/drip/3/600").await.text(),
        "drip 0\ndrip 1\ndrip 2\n"
    );
    assert_eq!(client.get("/delay/600").await.status, 200);
}

#[test]
fn a_broken_chunk_is_refused_and_logged() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.rest();
    });
    let proxy = proxy(app.port(), "timeouts: { idle: 60s }");
    let mut wire = Wire::connect(proxy.inbound());
    wire.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
    let head = wire.head();
    assert_eq!(status(&head), 400, "{head}");
    let line = proxy.logged(|line| line["status"] == 400);
    assert_eq!(
        (&line["flag"], &line["reason"]),
        (&"DPE".into(), &"request.body".into())
    );
}

#[test]
fn a_silent_connection_that_goes_away_leaves_no_line() {
    let origin = origin();
    let proxy = proxy(origin.address().port(), "timeouts: { idle: 60s }");
    drop(TcpStream::connect(proxy.inbound()).unwrap());
    assert!(
        http(
            proxy.inbound(),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .contains("200 OK")
    );
    proxy.logged(|line| line["status"] == 200);
    assert_eq!(proxy.stdout().lines().count(), 1, "{}", proxy.stdout());
}
