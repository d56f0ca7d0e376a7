//! The response of each path. The first segment selects the behavior, the rest are its numbers.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::sleep;

use super::abort::{Aborted, Wishes};
use super::body::{Body, Paced, Unsized, boxed, full};
use super::{Shared, websocket};
use crate::content::{self, CHECKSUM_HEADER, CHECKSUM_TRAILER, Content};

/// The response to `/`.
pub const HELLO: &str = "Hello, world!";

/// Chunk size of bodies that must arrive in many chunks.
const SMALL_FRAME: u64 = 8 * 1024;

/// Difference between the content-length of `/abort` and the bytes that it sends.
const NEVER_SENT: u64 = 1024;

/// Handles one request. An error closes the connection (HTTP/2: resets the stream) without a
/// response.
pub(super) async fn answer(
    shared: &Shared,
    wishes: &Wishes,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let only_head = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
    let path = request.uri().path().to_owned();
    let mut segments = path.trim_start_matches('/').splitn(3, '/');
    let (first, second, third) = (
        segments.next().unwrap_or(""),
        segments.next(),
        segments.next(),
    );
    if first != "stats" {
        shared.counters.request(first);
        shared.wait_while_stalled().await;
    }
    let mut response = match (first, number(second), number(third)) {
        ("", ..) if is_grpc(&request) => grpc(request).await?,
        ("", ..) => Response::new(full(HELLO)),
        ("bytes", Some(length), _) => bytes(length),
        ("chunked", Some(length), _) => chunked(length),
        ("echo", ..) => echo(request),
        ("sink", ..) => sink(request).await?,
        ("headers", ..) => headers(&request),
        ("delay", Some(pause), _) => delay(Duration::from_millis(pause)).await,
        ("drip", Some(count), Some(pause)) => drip(count, Duration::from_millis(pause)),
        ("sse", Some(count), Some(pause)) => events(count, Duration::from_millis(pause)),
        ("trailers", ..) => trailers(),
        ("status", Some(code), _) => status(code),
        ("abort", Some(length), _) => abort(length, request.version(), wishes),
        ("close-before", ..) => return Err(io::ErrorKind::ConnectionAborted.into()),
        ("early", ..) => early(request.version()),
        ("ws", ..) => websocket::accept(request),
        ("informational", ..) => informational(request.version(), wishes),
        ("stats", ..) => json_body(&shared.counters.snapshot().to_json()),
        _ if is_grpc(&request) => grpc(request).await?,
        _ => with_status(StatusCode::NOT_FOUND, full("no such path\n")),
    };
    if let Some(name) = &shared.name {
        response.headers_mut().insert("x-origin", name.clone());
    }
    Ok(if only_head {
        without_body(response)
    } else {
        response
    })
}

/// hyper omits the body of a response to HEAD on HTTP/1.1, but not on HTTP/2.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers
            .entry(CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    Response::from_parts(head, boxed(Empty::new()))
}

fn number(segment: Option<&str>) -> Option<u64> {
    segment?.parse().ok()
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn json_body(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn checksum_value(checksum: u32) -> HeaderValue {
    HeaderValue::from_str(&content::hex(checksum))
        .expect("hexadecimal digits are valid in a header")
}

fn bytes(length: u64) -> Response<Body> {
    let mut response = Response::new(boxed(Content::new(length)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CHECKSUM_HEADER, checksum_value(content::checksum(length)));
    response
}

/// The same bytes without a length.
fn chunked(length: u64) -> Response<Body> {
    let mut response = Response::new(boxed(Unsized(Content::in_frames(length, SMALL_FRAME))));
    response
        .headers_mut()
        .insert(CHECKSUM_HEADER, checksum_value(content::checksum(length)));
    response
}

fn trailers() -> Response<Body> {
    let length = 3 * SMALL_FRAME;
    let trailers = async move {
        let mut map = HeaderMap::new();
        map.insert(CHECKSUM_TRAILER, checksum_value(content::checksum(length)));
        Some(Ok(map))
    };
    let body = Unsized(Content::in_frames(length, SMALL_FRAME)).with_trailers(trailers);
    let mut response = Response::new(boxed(body));
    response
        .headers_mut()
        .insert(TRAILER, HeaderValue::from_static(CHECKSUM_TRAILER));
    response
}

/// Sends the request's body back as it arrives, with the headers that describe it.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(boxed(body));
    for name in [CONTENT_TYPE.as_str(), TRAILER.as_str(), CHECKSUM_HEADER] {
        if let Some(value) = head.headers.get(name) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value.clone());
        }
    }
    response
}

/// Reads the whole body and reports its length and checksum. A body that differs from its announced
/// checksum is a 400.
async fn sink(request: Request<Incoming>) -> io::Result<Response<Body>> {
    let announced = request.headers().get(CHECKSUM_HEADER).cloned();
    let mut body = request.into_body();
    let (mut length, mut crc) = (0, crc32fast::Hasher::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            length += data.len() as u64;
            crc.update(&data);
        }
    }
    let crc = crc.finalize();
    let mut response = json_body(&json!({ "bytes": length, "crc32": content::hex(crc) }));
    if announced.is_some_and(|value| content::parse_hex(value.as_bytes()) != Some(crc)) {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    request.method() == Method::POST
        && kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Returns the message of a unary call. Anything but one complete message gets status 13, INTERNAL,
/// as in gRPC.
async fn grpc(request: Request<Incoming>) -> io::Result<Response<Body>> {
    let message = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let length = message
        .get(1..5)
        .and_then(|length| length.try_into().ok())
        .map(u32::from_be_bytes);
    let is_whole = length.is_some_and(|length| message.len() - 5 == length as usize);
    let (message, status) = if is_whole {
        (message, "0")
    } else {
        (Bytes::new(), "13")
    };
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(status),
    )]);
    let body = Full::new(message).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(boxed(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// Returns the head of the request. Values that are not UTF-8 are shown with replacement
/// characters.
fn headers(request: &Request<Incoming>) -> Response<Body> {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json_body(&json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "version": format!("{:?}", request.version()),
        "headers": headers,
    }))
}

async fn delay(pause: Duration) -> Response<Body> {
    sleep(pause).await;
    Response::new(full(HELLO))
}

fn drip(count: u64, pause: Duration) -> Response<Body> {
    Response::new(boxed(Paced::new(
        (0..count).map(|number| Bytes::from(format!("drip {number}\n"))),
        pause,
    )))
}

fn events(count: u64, pause: Duration) -> Response<Body> {
    let event = |number| Bytes::from(format!("id: {number}\ndata: event {number}\n\n"));
    let mut response = Response::new(boxed(Paced::new((0..count).map(event), pause)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Any final status; 1xx is not one (RFC 9110 §15.2).
fn status(code: u64) -> Response<Body> {
    let known = u16::try_from(code)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    match known.filter(|status| !status.is_informational()) {
        Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => {
            with_status(status, full(""))
        }
        Some(status) => with_status(status, full(format!("{code}\n"))),
        None => with_status(StatusCode::NOT_FOUND, full("not a final status\n")),
    }
}

fn abort(length: u64, version: Version, wishes: &Wishes) -> Response<Body> {
    let mut response = Response::new(boxed(Aborted::after(length, version, wishes.clone())));
    response.headers_mut().insert(
        CONTENT_LENGTH,
        HeaderValue::from(length.saturating_add(NEVER_SENT)),
    );
    response
}

/// Rejects a body before reading it; the connection cannot be reused after that (RFC 9110 §10.1.1).
fn early(version: Version) -> Response<Body> {
    let mut response = with_status(StatusCode::PAYLOAD_TOO_LARGE, full("not reading this\n"));
    if version < Version::HTTP_2 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 103 before the 200 (RFC 8297), on HTTP/1.1 only: hyper sends no interim responses of its own.
fn informational(version: Version, wishes: &Wishes) -> Response<Body> {
    if version == Version::HTTP_11 {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n";
        wishes.send_first(Bytes::from_static(hints.as_bytes()));
    }
    Response::new(full(HELLO))
}
