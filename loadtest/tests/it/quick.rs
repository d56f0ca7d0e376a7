//! The origin's fast path: its responses equal those of the slow path, however the request arrives.

use outrigger_loadtest::content;
use outrigger_loadtest::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends this and reads one response to its end, by its content-length: status line, sorted header
/// fields, body.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> (String, Vec<String>, Vec<u8>) {
    stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let mut fields: Vec<_> = lines.collect();
    let length = fields
        .iter()
        .find_map(|field| field.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    for field in &mut fields {
        if field.starts_with("date: ") {
            field.truncate("date: ".len());
        }
    }
    fields.sort();
    (status, fields, body)
}

fn upload(more: &str, body: &str) -> String {
    format!(
        "POST /sink HTTP/1.1\r\nhost: a\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let origin = Origin::builder().name("blue").start().await.unwrap();
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4\r\n\r\n");
    for request in [
        get("/"),
        get("/bytes/0"),
        get("/bytes/5"),
        get("/bytes/300000"),
        upload("", ""),
        upload("", "0123456789"),
        upload("x-body-crc32: cbf43926\r\n", "123456789"),
        upload("x-body-crc32: cbf43927\r\n", "123456789"),
        upload("x-body-crc32: other\r\n", "123456789"),
    ] {
        let mut short = TcpStream::connect(origin.address()).await.unwrap();
        let mut long = TcpStream::connect(origin.address()).await.unwrap();
        let other = request.replacen("\r\n", "\r\nconnection: keep-alive\r\n", 1);
        let answer = exchange(&mut short, request.as_bytes()).await;
        assert_eq!(
            answer,
            exchange(&mut long, other.as_bytes()).await,
            "{request}"
        );
        assert!(
            answer.1.contains(&"x-origin: blue".to_owned()),
            "{answer:?}"
        );
    }
    assert_eq!(
        (
            origin.hits(),
            origin.hits_of("sink"),
            origin.hits_of("bytes")
        ),
        (18, 10, 6)
    );
}

#[tokio::test]
async fn a_request_may_arrive_in_pieces_and_a_connection_may_change_its_way() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    let sink = upload("", "0123456789");
    for byte in &sink.as_bytes()[..sink.len() - 1] {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = exchange(&mut stream, &sink.as_bytes()[sink.len() - 1..]).await;
    assert_eq!(answer.2, br#"{"bytes":10,"crc32":"a684c7c6"}"#);
    for (request, body) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "Hello, world!"),
        ("GET /status/200 HTTP/1.1\r\nhost: a\r\n\r\n", "200\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "Hello, world!"),
    ] {
        assert_eq!(
            exchange(&mut stream, request.as_bytes()).await.2,
            body.as_bytes()
        );
    }
    assert_eq!(origin.stats().connections, 1);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    let paths = ["/bytes/3", "/", "/bytes/100000", "/status/404", "/"];
    let all: String = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut lengths = Vec::new();
    for _ in paths {
        lengths.push(exchange(&mut stream, b"").await.2.len());
    }
    assert_eq!(lengths, [3, 13, 100_000, 4, 13]);
}

#[tokio::test]
async fn the_body_is_the_pattern_that_its_checksum_announces() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    let request = b"GET /bytes/200000 HTTP/1.1\r\nhost: a\r\n\r\n";
    let (_, fields, body) = exchange(&mut stream, request).await;
    let announced = format!("x-body-crc32: {}", content::hex(crc32fast::hash(&body)));
    assert!(fields.contains(&announced), "{fields:?}");
}
