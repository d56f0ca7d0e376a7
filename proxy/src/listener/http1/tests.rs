//! Compares the codec with hyper's, and with itself over the same bytes in other pieces.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use fastrand::Rng;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::fuzzing::{Received, Requests, read_requests, read_requests_cut_at};
use crate::codec::target;

/// Parts of requests, more valid ones than invalid ones.
const LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\n",
    "POST /a/b?c=d HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "get http://a:80/x HTTP/1.1\r\n",
    "POST / HTTP/1.0\r\n",
    "\r\nPUT / HTTP/1.1\r\n",
    "GET /a#b HTTP/1.1\r\n",
    "GET / HTTP/1.2\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "GET /\u{e9} HTTP/1.1\r\n",
    "GET /{a}?{b}| HTTP/1.1\r\n",
];
const FIELDS: &[&str] = &[
    "Host: a\r\n",
    "Host: a\r\n",
    "X: y\r\n",
    "x:\t y \r\n",
    "X_Y:\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3\r\n",
    "content-length: 0\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 3, 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: gzip, Chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "X: a\r\n b\r\n",
    "X: a\nY: b\r\n",
    "X: a\rb\r\n",
    "X: \0\r\n",
    "X\r\n",
    ": x\r\n",
    "X: \u{e9}\r\n",
];
const BODIES: &[&str] = &[
    "",
    "",
    "abc",
    "abcdef",
    "0\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "3;x=y\r\nabc\r\n1 \r\nd\r\n00\r\nx: y\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nx: y\n\r\n",
    "3\r\nabc\r\n0\r\n\n",
    "fffffffffffffffff\r\n",
    "-1\r\n",
];

fn connection(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..4) {
        // Half of the requests consist of valid parts.
        let (lines, fields, bodies) = if rng.bool() {
            (7, 9, 8)
        } else {
            (LINES.len(), FIELDS.len(), BODIES.len())
        };
        bytes.extend_from_slice(LINES[rng.usize(..lines)].as_bytes());
        for _ in 0..rng.usize(0..4) {
            bytes.extend_from_slice(FIELDS[rng.usize(..fields)].as_bytes());
        }
        bytes.extend_from_slice(if rng.usize(..20) == 0 { b"\n" } else { b"\r\n" });
        bytes.extend_from_slice(BODIES[rng.usize(..bodies)].as_bytes());
    }
    if rng.usize(..4) == 0 {
        let place = rng.usize(..bytes.len());
        bytes[place] = rng.u8(..);
    }
    bytes
}

/// What hyper reads of the same bytes, in one piece, from a client that then sends nothing more.
async fn read_by_hyper(bytes: &[u8]) -> Vec<Received> {
    let (mut client, server) = duplex(64 * 1024);
    let all = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&all);
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, mut body) = request.into_parts();
            let index = seen.borrow().len();
            seen.borrow_mut().push(Received {
                method: head.method,
                target: head.uri.to_string(),
                is_http11: head.version == http::Version::HTTP_11,
                fields: head.headers,
                ..Received::default()
            });
            while let Some(Ok(frame)) = body.frame().await {
                let received = &mut seen.borrow_mut()[index];
                match frame.into_data() {
                    Ok(data) => received.body.extend_from_slice(&data),
                    Err(frame) => received.trailers = frame.into_trailers().unwrap_or_default(),
                }
            }
            seen.borrow_mut()[index].ended = hyper::body::Body::is_end_stream(&body);
            Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answers = Vec::new();
    let mut builder = http1::Builder::new();
    let serve = builder
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    let _ = tokio::join!(serve, client.read_to_end(&mut answers));
    all.take()
}

/// Whether both results agree. hyper removes a length beside chunks, and encodes no target.
fn agrees(ours: &Received, theirs: &Received) -> bool {
    let lengths = |one: &Received| one.fields.get_all("content-length").iter().count();
    let others = |one: &Received| {
        let mut fields = one.fields.clone();
        fields.remove("content-length");
        fields
    };
    let target = target::encoded(theirs.target.as_bytes());
    // `framing` rejects a length beside chunks, after either codec.
    let refused_later = lengths(ours) > 0 && ours.fields.contains_key("transfer-encoding");
    (
        &ours.method,
        ours.target.as_bytes(),
        ours.is_http11,
        others(ours),
    ) == (&theirs.method, &*target, theirs.is_http11, others(theirs))
        && (refused_later
            || (lengths(ours) == lengths(theirs) && theirs.body.starts_with(&ours.body)))
        && (refused_later
            || !ours.ended
            || (theirs.body == ours.body && ours.trailers == theirs.trailers))
}

#[tokio::test(flavor = "current_thread")]
async fn whatever_is_read_hyper_reads_in_the_same_way() {
    let mut rng = Rng::with_seed(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..3000 {
        let bytes = connection(&mut rng);
        let ours = read_requests(&bytes, bytes.len());
        let theirs = read_by_hyper(&bytes).await;
        // hyper may end a connection earlier, after Connection: close and HTTP/1.0.
        for (ours, theirs) in ours.all.iter().zip(&theirs) {
            assert!(
                agrees(ours, theirs),
                "{:?}\n{ours:?}\n{theirs:?}",
                String::from_utf8_lossy(&bytes)
            );
            accepted += 1;
        }
        // hyper rejects some of the bytes that this codec encodes in targets.
        let refuses = ours
            .all
            .first()
            .is_none_or(|first| first.target.contains('%'));
        assert!(
            refuses || !theirs.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        refused += usize::from(ours.refused.is_some());
    }
    assert!(accepted > 1000 && refused > 500, "{accepted} and {refused}");
}

#[test]
fn the_same_requests_come_out_however_the_bytes_are_cut() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..2000 {
        let bytes = connection(&mut rng);
        let whole: Requests = read_requests(&bytes, bytes.len());
        let cut: Vec<usize> = (0..rng.usize(1..8)).map(|_| rng.usize(..)).collect();
        assert_eq!(
            read_requests_cut_at(&bytes, &cut),
            whole,
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(
            read_requests(&bytes, 1),
            whole,
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}
