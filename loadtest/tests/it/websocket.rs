//! The WebSocket echo, with a third-party client and with the bytes of RFC 6455.

use futures_util::{SinkExt, StreamExt};
use outrigger_loadtest::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn text_and_binary_come_back_pings_are_answered_and_closing_is_agreed_on() {
    let origin = Origin::start().await.unwrap();
    let stream = TcpStream::connect(origin.address()).await.unwrap();
    let url = format!("ws://{}/ws", origin.address());
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    for message in [
        Message::text("grüezi"),
        Message::binary(vec![0; 100_000]),
        Message::text(""),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("are you there".into())
    );
    socket.close(None).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_close());
    assert!(socket.next().await.is_none());
    assert_eq!(origin.hits_of("ws"), 1);
}

#[tokio::test]
async fn the_handshake_and_frames_are_those_of_the_rfc() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    let handshake = "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-protocol: chat, superchat\r\n\r\n";
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // Section 1.3 gives key and answer, section 5.7 the frames of "Hello", masked and not.
    assert!(
        head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    assert!(head.contains("sec-websocket-protocol: chat\r\n"), "{head}");
    stream
        .write_all(&[
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ])
        .await
        .unwrap();
    let mut frame = [0; 7];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x05Hello");
}

#[tokio::test]
async fn a_plain_request_is_told_to_upgrade() {
    let origin = Origin::start().await.unwrap();
    let mut stream = TcpStream::connect(origin.address()).await.unwrap();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}
