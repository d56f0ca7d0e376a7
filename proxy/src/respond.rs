//! Turns an [`Error`] into a response: the only place that does.
//!
//! HTTP clients get a status and a short JSON object, gRPC clients the equivalent `grpc-status` in
//! a trailers-only response. A malformed HTTP/2 request (RFC 9113) gets no response: its stream is
//! reset. The exact reason appears only in the access log and in metrics.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use outrigger_filters::{
    context::RequestId,
    error::Error,
    grpc,
    reason::{Effect, Reason},
    service::Body,
};

/// The response to a head that is rejected before it is a request, and how it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unparsed {
    /// The status that the client gets; `None` over HTTP/2, where it gets RST_STREAM or GOAWAY.
    pub status: Option<StatusCode>,
    pub reason: Reason,
    /// The client's HTTP version.
    pub version: Version,
    /// The response, where it is constant.
    pub bytes: &'static [u8],
}

/// A head that was not complete within `timeouts.requestHeaders`.
pub(crate) const SLOW_HEAD: Unparsed = Unparsed {
    status: Some(StatusCode::REQUEST_TIMEOUT),
    reason: Reason::TimeoutRequestHeaders,
    version: Version::HTTP_11,
    bytes:
        b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: 35\r\n\r\n{\"error\":\"request header too slow\"}",
};

/// The response to plain HTTP on a listener with TLS. There is no request, so it is constant bytes.
pub(crate) const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\
      content-length: 51\r\n\r\n{\"error\":\"this port speaks TLS; use https:// here\"}";

/// A head that is invalid or ambiguous; the response is an empty 400.
pub(crate) const HTTP1_PARSE: Unparsed = Unparsed {
    status: Some(StatusCode::BAD_REQUEST),
    reason: Reason::RequestHttp1Syntax,
    version: Version::HTTP_11,
    bytes: b"",
};

/// A head with more bytes or headers than the listener allows.
pub(crate) const HTTP1_TOO_LARGE: Unparsed = Unparsed {
    status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    reason: Reason::LimitHeaders,
    version: Version::HTTP_11,
    bytes: b"",
};

/// A target longer than the codec can store.
pub(crate) const HTTP1_TARGET_TOO_LONG: Unparsed = Unparsed {
    status: Some(StatusCode::URI_TOO_LONG),
    reason: Reason::LimitTarget,
    ..HTTP1_TOO_LARGE
};

/// A stream that was reset, or a connection that was closed with GOAWAY, because of an HTTP/2 error
/// (RFC 9113).
pub(crate) const HTTP2_PROTOCOL: Unparsed = Unparsed {
    status: None,
    reason: Reason::RequestHttp2Protocol,
    version: Version::HTTP_2,
    bytes: b"",
};

impl Unparsed {
    /// The same over HTTP/2, where GOAWAY is the response.
    pub(crate) const fn over_http2(self) -> Self {
        Self {
            status: None,
            version: Version::HTTP_2,
            bytes: b"",
            ..self
        }
    }

    /// Excessive work on an HTTP/2 connection, which is closed with GOAWAY.
    const fn http2_excess(reason: Reason) -> Self {
        Self {
            reason,
            ..HTTP2_PROTOCOL
        }
    }
}

/// Too many streams that were reset before their response began, by the client or because of its
/// errors.
pub(crate) const HTTP2_RESETS: Unparsed = Unparsed::http2_excess(Reason::LimitHttp2Resets);

/// Too many PING frames.
pub(crate) const HTTP2_PINGS: Unparsed = Unparsed::http2_excess(Reason::LimitHttp2Pings);

/// Too many SETTINGS frames.
pub(crate) const HTTP2_SETTINGS: Unparsed = Unparsed::http2_excess(Reason::LimitHttp2Settings);

/// Too many DATA frames that are empty or nearly so.
pub(crate) const HTTP2_DATA: Unparsed = Unparsed::http2_excess(Reason::LimitHttp2Data);

/// A header block in more CONTINUATION frames than its size needs.
pub(crate) const HTTP2_CONTINUATION: Unparsed =
    Unparsed::http2_excess(Reason::LimitHttp2Continuation);

/// Headers that are far larger than their encoding, through HPACK references.
pub(crate) const HTTP2_FIELDS: Unparsed = Unparsed::http2_excess(Reason::LimitHeaders);

/// Instead of a response: the stream of a malformed request is reset with PROTOCOL_ERROR (RFC 9113
/// section 8.1.1).
#[derive(Debug)]
pub(crate) struct Reset;

/// The response to a request that failed with `error`.
///
/// # Errors
/// [`Reset`] for a malformed HTTP/2 request (RFC 9113).
pub(crate) fn respond(
    error: &Error,
    version: Version,
    is_grpc: bool,
    request_id: &RequestId,
) -> Result<Response<Body>, Reset> {
    if version == Version::HTTP_2 && error.effect() == Effect::Reset {
        return Err(Reset);
    }
    let mut response = if is_grpc {
        grpc_response(error)
    } else {
        json_response(error, request_id)
    };
    let headers = response.headers_mut();
    match error.effect() {
        Effect::Plain => {}
        Effect::Close | Effect::Reset => {
            if version < Version::HTTP_2 {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        Effect::RetryAfter => retry_after(error, headers),
        Effect::Overloaded => {
            retry_after(error, headers);
            headers.insert("x-outrigger-overloaded", HeaderValue::from_static("true"));
        }
        Effect::InvalidToken => challenge("Bearer error=\"invalid_token\"", headers),
        Effect::InsufficientScope => challenge("Bearer error=\"insufficient_scope\"", headers),
    }
    Ok(response)
}

/// Sets Retry-After in whole seconds: at least one, so that clients do not retry while requests
/// would still be rejected.
fn retry_after(error: &Error, headers: &mut HeaderMap) {
    let wait = error.retry_after().unwrap_or_default();
    let begun = u64::from(wait.subsec_nanos() > 0);
    let seconds = (wait.as_secs() + begun).max(1);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

/// Sets WWW-Authenticate (RFC 6750 section 3), without details that would help to guess a token.
fn challenge(text: &'static str, headers: &mut HeaderMap) {
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
}

fn json_response(error: &Error, request_id: &RequestId) -> Response<Body> {
    let mut text = String::with_capacity(96);
    text.push_str("{\"error\":\"");
    text.push_str(error.message());
    text.push_str("\",\"requestId\":\"");
    for character in request_id.as_str().chars() {
        if matches!(character, '"' | '\\') {
            // The request id has visible ASCII only, so nothing else needs escaping.
            text.push('\\');
        }
        text.push(character);
    }
    text.push_str("\"}");
    let mut response = Response::new(Body::Full(Bytes::from(text)));
    *response.status_mut() = error.status();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn grpc_response(error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-status",
        HeaderValue::from(u16::from(grpc::status_of(error.status()))),
    );
    headers.insert("grpc-message", HeaderValue::from_static(error.message()));
    response
}
