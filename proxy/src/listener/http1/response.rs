//! Writes responses: the head with the one framing that fits the body, then the body as it arrives.
//!
//! The types of names and values exclude CR and LF, and status line and framing are written by the
//! proxy, so nothing in an upstream's response can start another message.

use http::{HeaderValue, StatusCode, Version, header, response::Parts};
use http_body::Body as _;
use outrigger_filters::service::Body;

use crate::codec::{
    date::Today,
    encode::{Encoder, Framing},
    fields,
};

/// Most heads fit in this.
const ROOM: usize = 512;

/// The properties of a request that its response depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestInfo {
    pub(super) version: Version,
    pub(super) only_head: bool,
    /// Whether the client wants to reuse the connection.
    pub(super) keep_alive: bool,
    /// Whether it accepts trailers.
    pub(super) trailers: bool,
}

impl RequestInfo {
    /// For a head that could not be parsed.
    pub(super) const UNREAD: Self = Self {
        version: Version::HTTP_11,
        only_head: false,
        keep_alive: false,
        trailers: false,
    };
}

/// The part of a response that is still to be written.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) body: Encoder,
    /// The connection is closed after this response.
    pub(super) last: bool,
}

/// Writes a head; the [`Sending`] writes its body.
pub(super) fn begin(
    out: &mut Vec<u8>,
    head: &mut Parts,
    body: &Body,
    request: RequestInfo,
    today: &Today,
) -> Sending {
    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        // The proxy never sends another 1xx here; the client would wait for a final response.
        head.status = StatusCode::INTERNAL_SERVER_ERROR;
        head.headers.clear();
    }
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let framing = framing(head, body, request);
    let last = switches || !request.keep_alive || framing == Framing::UntilClose;
    let mut sending = Sending {
        body: Encoder::new(framing),
        last,
    };
    out.reserve(ROOM);
    status_line(out, head.status, request.version);
    let own = sending.fields(out, head, request);
    if !own.length {
        match framing {
            Framing::Length(length) => fields::write_length(out, length),
            Framing::Done if has_length(head.status) && !request.only_head => {
                fields::write_length(out, 0)
            }
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Done | Framing::UntilClose => {}
        }
    }
    match request.version {
        Version::HTTP_11 if sending.last && !own.close && !switches => {
            out.extend_from_slice(b"connection: close\r\n");
        }
        Version::HTTP_10 if !sending.last => out.extend_from_slice(b"connection: keep-alive\r\n"),
        _ => {}
    }
    if !own.date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&today.now());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    sending
}

/// RFC 9112 section 6.3, for responses.
fn framing(head: &Parts, body: &Body, request: RequestInfo) -> Framing {
    if request.only_head || body.is_end_stream() || !has_length(head.status) {
        return Framing::Done;
    }
    let declared = || {
        head.headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| fields::length(value.as_bytes()))
    };
    match body.size_hint().exact().or_else(declared) {
        Some(length) => Framing::Length(length),
        None if request.version < Version::HTTP_11 => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

/// Whether a response with this status may have a Content-Length.
fn has_length(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn status_line(out: &mut Vec<u8>, status: StatusCode, version: Version) {
    if version == Version::HTTP_11 && status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(if version < Version::HTTP_11 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Headers that the proxy writes itself, as far as the response has them.
#[derive(Default)]
struct OwnHeaders {
    length: bool,
    close: bool,
    date: bool,
}

impl Sending {
    fn fields(&mut self, out: &mut Vec<u8>, head: &Parts, request: RequestInfo) -> OwnHeaders {
        let mut own = OwnHeaders::default();
        for (name, value) in &head.headers {
            match *name {
                header::CONTENT_LENGTH => {
                    self.length_field(out, head.status, value, request, &mut own);
                    continue;
                }
                header::TRANSFER_ENCODING => continue,
                header::TRAILER if self.body.framing() != Framing::Chunked => continue,
                header::TRAILER if request.trailers => self.body.announce(value.clone()),
                header::CONNECTION if fields::lists(value.as_bytes(), b"close") => {
                    (self.last, own.close) = (true, true);
                }
                header::DATE => own.date = true,
                _ => {}
            }
            fields::write(out, name, value.as_bytes());
        }
        own
    }

    /// Content-Length at its original position, with the length of the body. A response to HEAD has
    /// the length of the response to GET.
    fn length_field(
        &self,
        out: &mut Vec<u8>,
        status: StatusCode,
        value: &HeaderValue,
        request: RequestInfo,
        own: &mut OwnHeaders,
    ) {
        if std::mem::replace(&mut own.length, true) {
            return;
        }
        match self.body.framing() {
            Framing::Length(length) => fields::write_length(out, length),
            Framing::Done if request.only_head && has_length(status) => {
                fields::write(out, &header::CONTENT_LENGTH, value.as_bytes());
            }
            _ => own.length = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use http::Response;
    use http_body::Frame;

    use super::*;

    const REQUEST: RequestInfo = RequestInfo {
        version: Version::HTTP_11,
        only_head: false,
        keep_alive: true,
        trailers: false,
    };

    /// A body of unknown length.
    struct Unknown;

    impl http_body::Body for Unknown {
        type Data = Bytes;
        type Error = outrigger_filters::error::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    fn written(
        request: RequestInfo,
        status: u16,
        lines: &[(&'static str, &'static str)],
        body: &Body,
    ) -> (String, Sending) {
        let (mut head, ()) = Response::builder()
            .status(status)
            .body(())
            .unwrap()
            .into_parts();
        head.headers.insert("date", HeaderValue::from_static("now"));
        for (name, value) in lines {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        let mut out = Vec::new();
        let sending = begin(&mut out, &mut head, body, request, &Today::default());
        (String::from_utf8(out).unwrap(), sending)
    }

    #[test]
    fn the_framing_fits_request_status_and_body() {
        let (full, unknown) = (Body::from("hello"), || Body::boxed(Unknown));
        let head = RequestInfo {
            only_head: true,
            ..REQUEST
        };
        let old = RequestInfo {
            version: Version::HTTP_10,
            ..REQUEST
        };
        let length = [("content-length", "5")];
        for (request, status, lines, body, expected, last) in [
            (
                REQUEST,
                200,
                &[][..],
                &full,
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                200,
                &length[..],
                &full,
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                200,
                &[("content-length", "9")][..],
                &full,
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                200,
                &length,
                &unknown(),
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                200,
                &[("transfer-encoding", "gzip")],
                &unknown(),
                "HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                404,
                &[],
                &Body::Empty,
                "HTTP/1.1 404 Not Found\r\ndate: now\r\ncontent-length: 0\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                204,
                &length,
                &Body::Empty,
                "HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                304,
                &length,
                &full,
                "HTTP/1.1 304 Not Modified\r\ndate: now\r\n\r\n",
                false,
            ),
            (
                REQUEST,
                799,
                &[],
                &Body::Empty,
                "HTTP/1.1 799 \r\ndate: now\r\ncontent-length: 0\r\n\r\n",
                false,
            ),
            (
                head,
                200,
                &[("content-length", "7")],
                &Body::Empty,
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 7\r\n\r\n",
                false,
            ),
            (
                head,
                200,
                &[],
                &unknown(),
                "HTTP/1.1 200 OK\r\ndate: now\r\n\r\n",
                false,
            ),
            (
                old,
                200,
                &[],
                &full,
                "HTTP/1.0 200 OK\r\ndate: now\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
                false,
            ),
            (
                old,
                200,
                &[],
                &unknown(),
                "HTTP/1.0 200 OK\r\ndate: now\r\n\r\n",
                true,
            ),
            (
                RequestInfo {
                    keep_alive: false,
                    ..REQUEST
                },
                200,
                &[],
                &Body::Empty,
                "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                true,
            ),
            (
                REQUEST,
                200,
                &[("connection", "close")],
                &Body::Empty,
                "HTTP/1.1 200 OK\r\ndate: now\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                true,
            ),
            (
                REQUEST,
                101,
                &[("connection", "upgrade"), ("upgrade", "x")],
                &Body::Empty,
                "HTTP/1.1 101 Switching Protocols\r\ndate: now\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                true,
            ),
            (
                REQUEST,
                103,
                &[("link", "x")],
                &Body::Empty,
                "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n",
                false,
            ),
        ] {
            let (text, sending) = written(request, status, lines, body);
            let (text, expected) = match status {
                103 => (&text[..expected.len()], expected),
                _ => (&*text, expected),
            };
            assert_eq!((text, sending.last), (expected, last));
        }
    }
}
