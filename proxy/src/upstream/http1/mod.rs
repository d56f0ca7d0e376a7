//! HTTP/1.1 towards an endpoint. The codec is written by hand, because a proxied request spends
//! most of its user time on this side.
//!
//! It writes requests anew from their parts and reads responses in exactly one way (RFC 9112
//! section 6.3): an ambiguous response is an error, and the connection is closed. Everything is
//! polled inside the request's own future; there is no task and no channel. Request body and
//! response run concurrently, so that an early response is noticed and bidirectional streams work.

mod encode;
pub(crate) mod fuzzing;
mod head;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, request, response};
use http_body::Frame;
use outrigger_filters::{error::Error, owned_headers::Own, service::Body};
use outrigger_transport::connect::UpstreamStream;
use tokio::{io::AsyncReadExt, time::Instant};

pub(crate) use self::encode::{CONTINUE_PATIENCE, Sending};
use self::head::{FinalHead, Head};
pub(crate) use self::head::{Problem, too_many};
use super::{breaker::ConnectionPermit, endpoint::Open};
use crate::codec::{
    decode::{Decoder, Step},
    lines::Lines,
    outgoing::Outgoing,
};

/// Longer response heads are rejected (`docs/security.md`, "Limits").
const HEAD_BYTES: usize = 64 * 1024;

/// Most informational responses before the final one (`docs/security.md`, "Limits").
const MOST_INFORMATIONAL: usize = 10;

/// Size of a read while a head is expected.
const READ: usize = 8 * 1024;

/// With less free space than this, a read gets a new buffer.
const ROOM: usize = 2 * 1024;

/// Size of a read while a body is expected.
const READ_BODY: usize = 64 * 1024;

pub(crate) struct Connection {
    stream: UpstreamStream,
    /// Bytes that were read and not parsed yet.
    read: BytesMut,
    /// Scan position in the response head.
    lines: Lines,
    out: Outgoing,
    /// The write error, when the endpoint closed its reading side. It may have responded before, so
    /// reading decides the outcome.
    write_error: Option<io::Error>,
    pub(crate) opened: Instant,
    /// The address of the endpoint; `None` for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// The permit to have it open, where connections are limited.
    pub(crate) permit: Option<ConnectionPermit>,
    /// Counts it as open.
    pub(crate) open: Option<Open>,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Closed(io::Error),
    /// The response is invalid or ambiguous.
    Protocol(Problem),
    /// The request's own body failed.
    RequestBody(Error),
}

/// A response head, and how its body is read.
pub(crate) struct Response {
    /// Status and headers, without Transfer-Encoding and without a `Connection` that names no
    /// header.
    pub(crate) head: response::Parts,
    /// Whether other hop-by-hop headers are left.
    pub(crate) has_hop_fields: bool,
    pub(crate) body: Reading,
    /// Whether the request was sent completely.
    pub(crate) sent: bool,
}

/// The framing of a response body, and whether the connection can be reused after it.
pub(crate) struct Reading {
    decoder: Decoder,
    keep_alive: bool,
}

impl Reading {
    /// Whether the last byte was read.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether the connection can be reused once everything was read and sent.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Bytes still to come, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }
}

impl Connection {
    /// A new connection.
    pub(crate) fn new(stream: UpstreamStream, address: Option<SocketAddr>) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            lines: Lines::default(),
            out: Outgoing::default(),
            write_error: None,
            opened: Instant::now(),
            address,
            permit: None,
            open: None,
        }
    }

    /// Whether an idle connection is open and has no unexpected bytes. Costs no system call while
    /// the runtime has seen no readiness.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let nothing = matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.read.is_empty() && nothing
    }

    /// Whether any byte of the current request was written.
    pub(crate) fn has_written(&self) -> bool {
        self.stream
            .has_written()
            .unwrap_or_else(|| self.out.has_begun())
    }

    /// Whether all bytes that were to be written so far are written.
    pub(crate) fn has_flushed(&self) -> bool {
        self.write_error.is_none() && self.out.is_empty()
    }

    /// Encodes the head of a request into the buffer; `body` follows with
    /// [`poll_response`](Self::poll_response).
    pub(crate) fn begin(
        &mut self,
        head: &request::Parts,
        body: &Body,
        own: Option<&Own>,
    ) -> Sending {
        self.out.clear();
        self.stream.begin();
        encode::head(self.out.own(), head, body, own)
    }

    /// Sends the request as far as possible and waits for the response head.
    ///
    /// The headers of the response replace those in `fields`. The map is reused for the next
    /// request, so one map serves a client connection for its whole life. It has at most `limit`
    /// headers.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        fields: &mut HeaderMap,
        sending: &mut Sending,
        informational: &mut usize,
        limit: u16,
    ) -> Poll<Result<Response, Failure>> {
        if let Poll::Ready(Err(failure)) = self.poll_send(cx, body, sending) {
            return Poll::Ready(Err(failure));
        }
        loop {
            match ready!(self.poll_head(cx, fields, sending.answers_are_bodiless(), limit)) {
                Ok(Head::Informational(status)) => {
                    *informational += 1;
                    if *informational > MOST_INFORMATIONAL {
                        return Poll::Ready(Err(Failure::Protocol(
                            "too many informational responses".into(),
                        )));
                    }
                    if status == StatusCode::CONTINUE {
                        sending.go_on();
                        if let Poll::Ready(Err(failure)) = self.poll_send(cx, body, sending) {
                            return Poll::Ready(Err(failure));
                        }
                    }
                }
                Ok(Head::Final(FinalHead {
                    head,
                    decoder,
                    keep_alive,
                    has_hop_fields,
                })) => {
                    let body = Reading {
                        decoder,
                        keep_alive: keep_alive && self.write_error.is_none(),
                    };
                    return Poll::Ready(Ok(Response {
                        head,
                        has_hop_fields,
                        body,
                        sent: sending.is_done() && self.has_flushed(),
                    }));
                }
                Err(failure) => {
                    return Poll::Ready(Err(self
                        .write_error
                        .take()
                        .map_or(failure, Failure::Closed)));
                }
            }
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        fields: &mut HeaderMap,
        bodiless: bool,
        limit: u16,
    ) -> Poll<Result<Head, Failure>> {
        loop {
            if !self.read.is_empty() {
                if let Some(head) =
                    head::parse(&mut self.read, &mut self.lines, fields, bodiless, limit)
                        .map_err(Failure::Protocol)?
                {
                    return Poll::Ready(Ok(head));
                }
                if self.read.len() >= HEAD_BYTES {
                    return Poll::Ready(Err(Failure::Protocol("response head over 64 KiB".into())));
                }
            }
            if ready!(self.poll_read(cx, READ))? == 0 {
                return Poll::Ready(Err(closed("closed before the whole response head")));
            }
        }
    }

    /// Sends as much of the request as the endpoint accepts. Ready when everything is sent, or the
    /// endpoint accepts no more.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        sending: &mut Sending,
    ) -> Poll<Result<(), Failure>> {
        while self.write_error.is_none() {
            if let Err(error) = ready!(self.out.poll_write(cx, &mut self.stream)) {
                self.write_error = Some(error);
                break;
            }
            if sending.is_done() {
                return Poll::Ready(Ok(()));
            }
            ready!(sending.poll_next(cx, body, &mut self.out)).map_err(Failure::RequestBody)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<Result<usize, Failure>> {
        if self.read.capacity() - self.read.len() < room.min(ROOM) {
            self.read.reserve(room);
        }
        let read = pin!(self.stream.read_buf(&mut self.read));
        read.poll(cx).map_err(Failure::Closed)
    }

    /// The next frame of a response body; `None` after the last.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        reading: &mut Reading,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            match reading.decoder.next(&mut self.read) {
                Ok(Step::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Step::Done) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(problem) => return Poll::Ready(Some(Err(Failure::Protocol(problem.into())))),
            }
            let room = reading.decoder.left().map_or(READ_BODY, |left| {
                left.clamp(READ as u64, READ_BODY as u64) as usize
            });
            match ready!(self.poll_read(cx, room)) {
                Ok(0) if reading.decoder.ends_with_connection() => return Poll::Ready(None),
                Ok(0) => {
                    return Poll::Ready(Some(Err(closed(
                        "closed before the end of the response body",
                    ))));
                }
                Ok(_) => {}
                Err(failure) => return Poll::Ready(Some(Err(failure))),
            }
        }
    }

    /// A whole body that was read together with its head, so that the connection is no longer
    /// needed.
    pub(crate) fn take_whole(&mut self, reading: &mut Reading) -> Option<Bytes> {
        reading.decoder.take_whole(&mut self.read)
    }

    /// Closes an idle connection in order, where the protocol has a message for it (TLS:
    /// close_notify).
    pub(crate) fn close_notify(&mut self) {
        self.stream.close_notify();
    }

    /// The socket and the bytes read from it, after a 101.
    pub(crate) fn into_parts(self) -> (UpstreamStream, Bytes) {
        (self.stream, self.read.freeze())
    }
}

fn closed(what: &'static str) -> Failure {
    Failure::Closed(io::Error::new(io::ErrorKind::UnexpectedEof, what))
}
