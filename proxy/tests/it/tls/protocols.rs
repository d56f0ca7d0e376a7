//! TLS does not change bodies, tunnels, idle connections and the end of connections.

use std::{thread, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::TokioExecutor;
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::Setup;
use crate::support::{
    client::{Answer, H2, full, patient, request},
    live::block_on,
    tls::{Client, Maker},
    wait_for,
};

async fn h2(setup: &Setup) -> H2 {
    let client = Maker::new(&setup.ca).alpn(&["h2", "http/1.1"]).done();
    let stream = client.stream(setup.address()).await.unwrap();
    H2::over(
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()),
        stream,
    )
    .await
}

#[test]
fn large_bodies_pass_both_ways_over_http2() {
    let setup = Setup::start("", |_, _| {});
    block_on(async {
        let mut client = h2(&setup).await;
        let body = Bytes::from(
            (0..8_000_000_u32)
                .map(|n| (n % 251) as u8)
                .collect::<Vec<u8>>(),
        );
        let answer = Answer::of(
            client
                .send(request("POST", "/echo").body(full(body.clone())).unwrap())
                .await,
        )
        .await;
        assert_eq!((answer.status, answer.body.len()), (200, body.len()));
        assert!(answer.body == body);
        let answers = (0..20).map(|_| {
            let mut client = client.clone();
            async move { client.get("/bytes/100000").await.body.len() }
        });
        assert!(
            futures_util::future::join_all(answers)
                .await
                .iter()
                .all(|length| *length == 100_000)
        );
        let answer = client
            .send(
                request("GET", "/trailers")
                    .header("te", "trailers")
                    .body(full(""))
                    .unwrap(),
            )
            .await;
        let answer = Answer::of(answer).await;
        assert!(!answer.trailers.is_empty());
    });
}

#[test]
fn large_bodies_pass_both_ways_over_http1() {
    let setup = Setup::start("", |_, _| {});
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    let body: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 241) as u8).collect();
    let head = format!(
        "POST /sink HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.send([head.as_bytes(), &body].concat()).unwrap();
    let answer = connection.answer().unwrap();
    let sum = format!("{:08x}", crc32(&body));
    assert!(
        answer.text().contains(&sum) && answer.text().contains("8000000"),
        "{}",
        answer.text()
    );
    assert_eq!(
        connection.get("/bytes/9000000").unwrap().body.len(),
        9_000_000
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ 0xedb8_8320 & (crc & 1).wrapping_neg()
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[test]
fn a_websocket_passes() {
    let setup = Setup::start("", |_, _| {});
    block_on(async {
        let stream = Client::new(&setup.ca)
            .stream(setup.address())
            .await
            .unwrap();
        let (mut socket, answer) = client_async("wss://localhost/ws", stream).await.unwrap();
        assert_eq!(answer.status(), 101);
        for message in [
            Message::text("grüezi"),
            Message::binary(vec![1; 3_000_000]),
            Message::text(""),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(patient(socket.next()).await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = patient(socket.next()).await {}
        drop(socket);
        assert_eq!(
            setup.proxy.logged(|line| line["path"] == "/ws")["status"],
            101
        );
    });
}

#[test]
fn a_parked_connection_hears_every_byte() {
    let setup = Setup::start("", |_, _| {});
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    let request = "GET /bytes/10 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(connection.get("/bytes/10").unwrap().body.len(), 10);
        thread::sleep(Duration::from_millis(800)); // longer than an idle connection keeps its buffers
        // Many requests in one record.
        connection.send(request.repeat(5)).unwrap();
        for _ in 0..5 {
            assert_eq!(connection.answer().unwrap().body.len(), 10);
        }
        thread::sleep(Duration::from_millis(800));
        // One request in many records, with a pause as long within it.
        let (first, rest) = request.split_at(7);
        connection.send(first).unwrap();
        thread::sleep(Duration::from_millis(800));
        for byte in rest.bytes() {
            connection.send([byte]).unwrap();
        }
        assert_eq!(connection.answer().unwrap().body.len(), 10);
    }
}

#[test]
fn the_end_of_a_connection_is_told_but_not_the_end_of_half_a_body() {
    let setup = Setup::start_with(
        "",
        "    timeouts: { idle: 1s, requestHeaders: 1s }\n",
        "",
        |_, _| {},
    );
    let connect = || Client::new(&setup.ca).connect(setup.address()).unwrap();
    // Idle from the beginning, and after a request.
    assert_eq!(connect().rest().unwrap(), "");
    let mut idle = connect();
    assert_eq!(idle.get("/").unwrap().status, 200);
    assert_eq!(idle.rest().unwrap(), "");
    // A head that does not come.
    let mut slow = connect();
    slow.send("GET / HTTP/1.1\r\n").unwrap();
    assert!(slow.rest().unwrap().starts_with("HTTP/1.1 408"));
    // The client's wish.
    let mut last = connect();
    last.send("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert!(last.rest().unwrap().ends_with("Hello, world!"));
    // HTTP/1.0: a body without length ends with its connection, so only its whole is followed by a word.
    let mut whole = connect();
    whole
        .send("GET /chunked/1000 HTTP/1.0\r\nhost: localhost\r\n\r\n")
        .unwrap();
    assert!(whole.rest().unwrap().len() > 1000);
    let mut half = connect();
    half.send("GET /abort/1000 HTTP/1.0\r\nhost: localhost\r\n\r\n")
        .unwrap();
    assert!(half.rest().is_err());
}

#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let setup = Setup::start_with("", "    timeouts: { bodyIdle: 500ms }\n", "", |_, _| {});
    let mut connection = Client::new(&setup.ca).connect(setup.address()).unwrap();
    connection
        .send("GET /bytes/100000000 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    assert_eq!(
        setup
            .proxy
            .logged(|line| line["path"] == "/bytes/100000000")["flag"],
        "SLOW"
    );
    drop(connection);
}

#[test]
fn a_drain_ends_connections_gracefully() {
    let lifecycle = "lifecycle: { shutdownDelay: 0s }\n";
    let mut setup = Setup::start_with("", "", lifecycle, |_, _| {});
    block_on(async {
        let mut client = h2(&setup).await;
        let mut busy = client.clone();
        let slow = tokio::spawn(async move { busy.get("/delay/700").await.status });
        let mut kept = Client::new(&setup.ca).connect(setup.address()).unwrap();
        assert_eq!(kept.get("/").unwrap().status, 200);
        kept.send("GET /delay/700 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        // One whose handshake has not begun must not hold it up, one in its handshake is waited for.
        let _silent = std::net::TcpStream::connect(setup.address()).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await; // all are on their way
        setup.proxy.signal("TERM");
        assert_eq!(slow.await.unwrap(), 200);
        client.closed().await;
        let answer = kept.answer().unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
        assert_eq!(kept.rest().unwrap(), "");
        assert!(setup.proxy.wait_exit(Duration::from_secs(10)).success());
    });
}

#[test]
fn an_answer_streams_in_small_pieces() {
    let setup = Setup::start("", |_, _| {});
    block_on(async {
        let mut client = h2(&setup).await;
        let mut body = client
            .send(request("GET", "/sse/5/50").body(full("")).unwrap())
            .await
            .into_body();
        let mut pieces = 0;
        while let Some(frame) = patient(body.frame()).await {
            pieces += usize::from(frame.unwrap().is_data());
        }
        assert!(pieces >= 5, "{pieces}");
        wait_for("the line", || {
            setup.proxy.stdout().contains("/sse/5/50").then_some(())
        });
    });
}
