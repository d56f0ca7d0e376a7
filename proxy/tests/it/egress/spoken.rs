//! Protocols over TLS, as seen by the endpoint.

use std::{thread, time::Duration};

use http::Request;
use serde_json::Value;

use super::{GET, Setup, ask, server, start, to_port};
use crate::support::{
    client::{Answer, H1, H2, full},
    front::Maker,
    live::block_on,
    origin,
    pki::{Ca, Wanted},
    wait_for,
    wire::{App, Wire, header, status},
};

/// The fields that the origin got.
fn fields(body: &str) -> Vec<(String, String)> {
    let seen: Value = serde_json::from_str(body).unwrap();
    let pair = |pair: &Value| {
        (
            pair[0].as_str().unwrap().to_owned(),
            pair[1].as_str().unwrap().to_owned(),
        )
    };
    seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect()
}

fn field(body: &str, name: &str) -> Option<String> {
    fields(body)
        .into_iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value)
}

const HEADERS: &str = "GET /headers HTTP/1.1\r\nhost: somewhere\r\ntraceparent: 00-1-2-01\r\n\r\n";

#[test]
fn an_endpoint_is_asked_by_its_own_name_and_connections_are_kept() {
    let setup = Setup::start("");
    let mut wire = setup.wire();
    for _ in 0..3 {
        let (head, body) = wire.ask(HEADERS);
        assert_eq!(status(&head), 200, "{head}");
        assert_eq!(
            field(&body, "host"),
            Some(format!("localhost:{}", setup.front.port()))
        );
        assert_eq!(
            field(&body, "traceparent").as_deref(),
            Some("00-1-2-01"),
            "trace context passes"
        );
        assert!(field(&body, "x-request-id").is_some());
        assert!(
            !body.contains("x-forwarded") && !body.contains("\"via\""),
            "{body}"
        );
    }
    let seen = setup.front.seen();
    assert_eq!(seen.len(), 1, "one connection for all");
    assert_eq!(seen[0].server_name.as_deref(), Some("localhost"));
    assert_eq!(seen[0].alpn.as_deref(), Some("http/1.1"));
    assert!(seen[0].client.is_none());
    assert_eq!(
        (
            setup.handshakes("full", ""),
            setup.handshakes("resumed", "")
        ),
        (1.0, 0.0)
    );
}

#[test]
fn the_configured_name_is_asked_for_and_is_host() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = ca.sign(Wanted::server(&["pay.example.com"]));
    let front = Maker::new(&leaf).before(origin.address());
    let proxy = super::to_front(&front, &ca, "      hostname: Pay.example.com\n");
    let (head, body) = Wire::connect(proxy.address("out")).ask(HEADERS);
    assert_eq!(status(&head), 200, "{head}");
    assert_eq!(field(&body, "host").as_deref(), Some("pay.example.com"));
    assert_eq!(
        front.seen()[0].server_name.as_deref(),
        Some("pay.example.com")
    );
}

#[test]
fn an_address_is_verified_as_one_and_asked_for_without_a_name() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = ca.sign(Wanted::server(&["127.0.0.1"]));
    let front = Maker::new(&leaf).before(origin.address());
    let upstream = to_port(front.port(), "").replace("localhost", "127.0.0.1");
    let proxy = start(&upstream, |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
    });
    assert_eq!(ask(&proxy).0, 200);
    assert_eq!(front.seen()[0].server_name, None, "RFC 6066 section 3");
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let setup = Setup::start("");
    let body = "0123456789abcdef".repeat(256 * 1024);
    block_on(async {
        let mut client = H1::connect(setup.proxy.address("out")).await;
        for _ in 0..2 {
            let request = Request::post("/echo")
                .header("host", "a")
                .body(full(body.clone()))
                .unwrap();
            let answer = Answer::of(client.send(request).await).await;
            assert!(
                answer.body == body,
                "{} of {} bytes",
                answer.body.len(),
                body.len()
            );
        }
    });
    assert_eq!(setup.front.seen().len(), 1);
}

/// HTTP/2 is agreed on by ALPN for gRPC, and `:scheme` is https.
#[test]
fn grpc_goes_over_http_2() {
    let setup = Setup::start("");
    block_on(async {
        let mut client = H2::connect(setup.proxy.address("out")).await;
        for _ in 0..2 {
            let request =
                Request::post("http://somewhere/echo").header("content-type", "application/grpc");
            let answer = Answer::of(
                client
                    .send(request.body(full("\0\0\0\0\x02hi")).unwrap())
                    .await,
            )
            .await;
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &b"\0\0\0\0\x02hi"[..])
            );
        }
        let request =
            Request::post("http://somewhere/headers").header("content-type", "application/grpc");
        let answer = Answer::of(client.send(request.body(full("")).unwrap()).await).await;
        assert!(
            answer.text().contains("https://localhost:"),
            "{}",
            answer.text()
        );
    });
    let seen = setup.front.seen();
    assert_eq!(seen.len(), 1, "streams share one connection");
    assert_eq!(seen[0].alpn.as_deref(), Some("h2"));
}

#[test]
fn an_http_2_connection_over_its_age_carries_no_further_request() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(origin.address());
    let upstream = to_port(front.port(), "    connections: { maxAge: 1ms }\n");
    let proxy = start(&upstream, |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
    });
    block_on(async {
        let mut client = H2::connect(proxy.address("out")).await;
        for _ in 0..3 {
            let request =
                Request::post("http://somewhere/echo").header("content-type", "application/grpc");
            let answer = client.send(request.body(full("hi")).unwrap()).await;
            assert_eq!(Answer::of(answer).await.text(), "hi");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(front.seen().len(), 3);
}

#[test]
fn grpc_to_an_endpoint_without_http_2_is_unavailable() {
    for alpn in [&["http/1.1"][..], &[]] {
        let setup = Setup::with("", |maker| maker.alpn(alpn));
        block_on(async {
            let mut client = H2::connect(setup.proxy.address("out")).await;
            let request =
                Request::post("http://somewhere/echo").header("content-type", "application/grpc");
            let answer = Answer::of(client.send(request.body(full("")).unwrap()).await).await;
            assert_eq!((answer.status, answer.header("grpc-status")), (200, "14"));
        });
        let line = setup.proxy.logged(|line| line["flag"] == "UF");
        assert_eq!(line["reason"], "upstream.tls_no_shared_protocol");
        assert_eq!(
            status(&setup.wire().ask(GET).0),
            200,
            "all others are served"
        );
    }
}

#[test]
fn a_websocket_passes() {
    let setup = Setup::start("");
    let mut live = crate::support::live::KeepAlive::new(setup.proxy.address("out"));
    assert!(live.upgrade("/ws").starts_with("http/1.1 101"));
    for text in ["one", "two"] {
        live.echo(text);
    }
}

#[test]
fn both_versions_of_tls_are_spoken_and_sessions_go_on() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (ca, origin) = (Ca::new("Outside"), origin());
        let leaf = server(&ca);
        let front = Maker::new(&leaf)
            .versions(&[version])
            .before(origin.address());
        let upstream = to_port(front.port(), "    connections: { maxAge: 1ms }\n");
        let proxy = start(&upstream, |folder| {
            std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
        });
        for _ in 0..3 {
            assert_eq!(ask(&proxy).0, 200);
            thread::sleep(Duration::from_millis(5)); // so that the connection is too old for the next one
        }
        let resumed: Vec<bool> = front.seen().iter().map(|one| one.resumed).collect();
        assert_eq!(resumed, [false, true, true], "{version:?}");
        assert_eq!(super::handshakes(&proxy, "resumed", ""), 2.0);
    }
}

#[test]
fn an_idle_connection_ends_with_a_word() {
    let (ca, origin) = (Ca::new("Outside"), origin());
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(origin.address());
    let upstream = to_port(front.port(), "    connections: { idleTimeout: 200ms }\n");
    let proxy = start(&upstream, |folder| {
        std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap()
    });
    assert_eq!(ask(&proxy).0, 200);
    wait_for("the end of the connection", || {
        front.seen()[0].ended_well.map(|well| assert!(well))
    });
}

/// `docs/security.md` 19: what TLS has taken and the socket has not is not sent; what went out is not sent again.
#[test]
fn a_post_is_never_sent_twice_over_tls() {
    let requests = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let count = std::sync::Arc::clone(&requests);
    // Answers the first request of a connection, and ends with the second once it has read it.
    let app = App::start(move |mut wire, _| {
        for turn in 0..2 {
            let head = wire.head();
            if head.is_empty() {
                return;
            }
            header(&head, "content-length").map(|length| wire.exactly(length.parse().unwrap()));
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if turn == 0 {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    let ca = Ca::new("Outside");
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(app.address);
    let proxy = super::to_front(&front, &ca, "");
    let mut wire = Wire::connect(proxy.address("out"));
    assert_eq!(wire.ask(GET).1, "ok");
    let (head, _) = wire.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(
        (
            status(&head),
            requests.load(std::sync::atomic::Ordering::SeqCst)
        ),
        (502, 2)
    );
    assert_eq!(proxy.logged(|line| line["status"] == 502)["flag"], "UC");
}

/// A body that ends with its connection must not look complete when it was cut.
#[test]
fn a_cut_answer_is_no_whole_one() {
    let app = App::start(|mut wire, _| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let ca = Ca::new("Outside");
    let leaf = server(&ca);
    let front = Maker::new(&leaf).before(app.address);
    let proxy = super::to_front(&front, &ca, "");
    let mut wire = Wire::connect(proxy.address("out"));
    wire.send(GET);
    assert_eq!(status(&wire.head()), 200);
    assert_eq!(wire.rest(), "half");
    assert_eq!(proxy.logged(|_| true)["flag"], "UC");
}
