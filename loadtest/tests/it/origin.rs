//! The origin as plain sockets see it.

use outrigger_loadtest::content;
use outrigger_loadtest::origin::Origin;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends raw bytes and returns everything received until the end, or the error in its place.
async fn talk(origin: &Origin, request: &str) -> (String, io::Result<()>) {
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await.map(drop);
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

async fn get(origin: &Origin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n\r\n");
    let (answer, end) = talk(origin, &request).await;
    end.unwrap();
    answer
}

#[tokio::test]
async fn framing_is_what_the_path_says() {
    let origin = Origin::start().await.unwrap();
    let sized = get(&origin, "/bytes/5").await.to_lowercase();
    assert!(sized.contains("content-length: 5\r\n"), "{sized}");
    assert!(
        sized.contains(&format!(
            "x-body-crc32: {}\r\n",
            content::hex(content::checksum(5))
        )),
        "{sized}"
    );
    for path in ["/chunked/5", "/trailers", "/drip/1/0", "/sse/1/0"] {
        let chunked = get(&origin, path).await.to_lowercase();
        assert!(
            chunked.contains("transfer-encoding: chunked\r\n"),
            "{path}: {chunked}"
        );
        assert!(!chunked.contains("content-length"), "{path}: {chunked}");
        assert!(chunked.ends_with("0\r\n\r\n"), "{path}: {chunked}");
    }
}

#[tokio::test]
async fn a_trailer_follows_the_body_for_those_who_accept_trailers() {
    let origin = Origin::start().await.unwrap();
    let request =
        "GET /trailers HTTP/1.1\r\nhost: origin\r\nte: trailers\r\nconnection: close, te\r\n\r\n";
    let (answer, _) = talk(&origin, request).await;
    let trailer = format!(
        "0\r\nx-checksum: {}\r\n\r\n",
        content::hex(content::checksum(24_576))
    );
    assert!(
        answer.ends_with(&trailer),
        "{}",
        &answer[answer.len() - 100..]
    );
}

#[tokio::test]
async fn headers_are_told_as_they_came() {
    let origin = Origin::builder().name("blue").start().await.unwrap();
    let request =
        "PUT /headers?x=1 HTTP/1.1\r\nhost: a\r\nx-two: 1\r\nx-two: 2\r\nconnection: close\r\n\r\n";
    let (answer, _) = talk(&origin, request).await;
    assert!(answer.contains("x-origin: blue\r\n"), "{answer}");
    let told: serde_json::Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        (&told["method"], &told["target"]),
        (&"PUT".into(), &"/headers?x=1".into())
    );
    assert_eq!(told["version"], "HTTP/1.1");
    let pairs = told["headers"].as_array().unwrap();
    let twos: Vec<_> = pairs
        .iter()
        .filter(|pair| pair[0] == "x-two")
        .map(|pair| pair[1].clone())
        .collect();
    assert_eq!(twos, ["1", "2"]);
}

#[tokio::test]
async fn an_early_refusal_does_not_wait_for_the_body() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    stream
        .write_all(b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn early_hints_come_before_the_answer() {
    let origin = Origin::start().await.unwrap();
    let answer = get(&origin, "/informational").await;
    assert!(
        answer.starts_with("HTTP/1.1 103 Early Hints\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn an_abort_sends_its_bytes_and_then_a_reset() {
    let origin = Origin::start().await.unwrap();
    for length in [0, 10, 1_000_000] {
        let request = format!("GET /abort/{length} HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut stream = TcpStream::connect(origin.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        // Data that was still in the kernel at the reset is lost; small bodies always arrive.
        if length <= 10 {
            let head = answer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
                .unwrap();
            assert_eq!(answer.len() - head - 4, length);
        }
    }
}

#[tokio::test]
async fn closing_before_the_answer_sends_nothing_at_all() {
    let origin = Origin::start().await.unwrap();
    let (answer, end) = talk(&origin, "GET /close-before HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer, "");
    end.unwrap();
}

#[tokio::test]
async fn a_sink_tells_what_came_and_objects_to_what_should_not() {
    let origin = Origin::start().await.unwrap();
    for (announced, status) in [("cbf43926", "200"), ("cbf43927", "400")] {
        let request = format!(
            "POST /sink HTTP/1.1\r\nhost: a\r\nx-body-crc32: {announced}\r\ncontent-length: 9\r\nconnection: \
             close\r\n\r\n123456789"
        );
        let (answer, _) = talk(&origin, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.ends_with(r#"{"bytes":9,"crc32":"cbf43926"}"#),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn statuses_are_given_as_asked_and_interim_ones_refused() {
    let origin = Origin::start().await.unwrap();
    for (path, status) in [
        ("/status/204", 204),
        ("/status/304", 304),
        ("/status/503", 503),
        ("/status/100", 404),
        ("/status/70000", 404),
        ("/status/x", 404),
        ("/nothing", 404),
        ("/bytes/", 404),
        ("/bytes/-1", 404),
    ] {
        let answer = get(&origin, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn counters_survive_a_restart_on_the_same_port_and_ignore_looks_at_them() {
    let mut origin = Origin::start().await.unwrap();
    let address = origin.address();
    for _ in 0..3 {
        get(&origin, "/bytes/1").await;
    }
    get(&origin, "/").await;
    origin.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    origin.restart().await.unwrap();
    assert_eq!(origin.address(), address);
    get(&origin, "/stats").await;
    assert_eq!(
        (origin.hits(), origin.hits_of("bytes"), origin.hits_of("")),
        (4, 3, 1)
    );
    assert_eq!(origin.stats().connections, 5);
}

#[tokio::test]
async fn stopping_ends_open_connections_at_once() {
    let mut origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    stream
        .write_all(b"GET /delay/600000 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    while origin.hits() == 0 {
        tokio::task::yield_now().await;
    }
    origin.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert_eq!(origin.stats().open_connections, 0);
}
