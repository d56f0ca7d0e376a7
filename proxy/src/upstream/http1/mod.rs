//! HTTP/1.1 towards an endpoint: our own codec, because this side of a proxied request is where its user time goes.
//!
//! It writes requests anew from their parts and reads responses in exactly one way (RFC 9112 section 6.3): what could
//! be read in two ways is an error, and the connection is closed. Everything is polled inside the request's own
//! future; there is no task and no channel. Request body and response run at the same time, so that an early answer is
//! seen and a two-way stream flows.

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
use self::head::{Answer, Head};
pub(crate) use self::head::{Problem, too_many};
use super::{breaker::Claim, endpoint::Open};
use crate::codec::{
    decode::{Decoder, Step},
    lines::Lines,
    outgoing::Outgoing,
};

/// Response heads over this are refused (`docs/security.md`, "Limits").
const HEAD_BYTES: usize = 64 * 1024;

/// Informational answers before the final one (`docs/security.md`, "Limits").
const MOST_INFORMATIONAL: usize = 10;

/// Read at once while a head is expected.
const READ: usize = 8 * 1024;

/// A read with less room than this gets a new buffer.
const ROOM: usize = 2 * 1024;

/// Read at once while a body moves.
const READ_BODY: usize = 64 * 1024;

/// One connection.
pub(crate) struct Connection {
    stream: UpstreamStream,
    /// Read, not yet used.
    read: BytesMut,
    /// How far a response head was looked at.
    lines: Lines,
    out: Outgoing,
    /// The endpoint takes no more of it. It may have answered before it closed its ear, so reading tells how it ended.
    deaf: Option<io::Error>,
    /// When the connection was opened.
    pub(crate) opened: Instant,
    /// Where it goes; none for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// The right to have it open, where that is limited.
    pub(crate) claim: Option<Claim>,
    /// Counts it.
    pub(crate) open: Option<Open>,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The endpoint closed or reset the connection.
    Closed(io::Error),
    /// Its answer cannot be understood, or not in one way only.
    Protocol(Problem),
    /// The request's own body failed.
    RequestBody(Error),
}

/// A response head and how its body is read.
pub(crate) struct Response {
    /// Status and fields. Transfer-Encoding has ended here, and a `Connection` that nominates nothing.
    pub(crate) head: response::Parts,
    /// Whether other fields are left that are meant for this hop only.
    pub(crate) has_hop_fields: bool,
    /// How the body is read.
    pub(crate) body: Reading,
    /// Whether the request still has bytes to send.
    pub(crate) sent: bool,
}

/// How a response body is read, and what becomes of the connection after it.
pub(crate) struct Reading {
    decoder: Decoder,
    keep_alive: bool,
}

impl Reading {
    /// Whether the last byte was read.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether the connection may carry another request once everything was read and sent.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Bytes still to come, when that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }
}

impl Connection {
    /// A connection that was just opened.
    pub(crate) fn new(stream: UpstreamStream, address: Option<SocketAddr>) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            lines: Lines::default(),
            out: Outgoing::default(),
            deaf: None,
            opened: Instant::now(),
            address,
            claim: None,
            open: None,
        }
    }

    /// Whether an idle connection is still open and silent. Costs no system call while nothing was announced.
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

    /// Whether the endpoint took everything that was to be written so far.
    pub(crate) fn has_flushed(&self) -> bool {
        self.deaf.is_none() && self.out.is_empty()
    }

    /// Puts the head of a request into the buffer; `body` follows with [`poll_response`](Self::poll_response).
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

    /// Sends what there is of the request and waits for the response head.
    ///
    /// The fields of the answer take the place of those in `fields`. The map of an answer
    /// serves the next request, so one map serves a client connection for all its life. There are at most `limit` of them.
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
                            "too many informational answers".into(),
                        )));
                    }
                    if status == StatusCode::CONTINUE {
                        sending.go_on();
                        if let Poll::Ready(Err(failure)) = self.poll_send(cx, body, sending) {
                            return Poll::Ready(Err(failure));
                        }
                    }
                }
                Ok(Head::Final(Answer {
                    head,
                    decoder,
                    keep_alive,
                    has_hop_fields,
                })) => {
                    let body = Reading {
                        decoder,
                        keep_alive: keep_alive && self.deaf.is_none(),
                    };
                    return Poll::Ready(Ok(Response {
                        head,
                        has_hop_fields,
                        body,
                        sent: sending.is_done() && self.has_flushed(),
                    }));
                }
                Err(failure) => {
                    return Poll::Ready(Err(self.deaf.take().map_or(failure, Failure::Closed)));
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

    /// Sends as much of the request as the endpoint takes; ready when that is all, or when it takes no more.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        sending: &mut Sending,
    ) -> Poll<Result<(), Failure>> {
        while self.deaf.is_none() {
            if let Err(error) = ready!(self.out.poll_write(cx, &mut self.stream)) {
                self.deaf = Some(error);
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

    /// A whole body that was read along with its head, so that nothing more is needed of the connection.
    pub(crate) fn take_whole(&mut self, reading: &mut Reading) -> Option<Bytes> {
        reading.decoder.take_whole(&mut self.read)
    }

    /// Says that nothing follows, where the protocol has a word for it: nobody needs the idle connection any more.
    pub(crate) fn say_goodbye(&mut self) {
        self.stream.say_goodbye();
    }

    /// The socket and what was read of it, after a 101.
    pub(crate) fn into_parts(self) -> (UpstreamStream, Bytes) {
        (self.stream, self.read.freeze())
    }
}

fn closed(what: &'static str) -> Failure {
    Failure::Closed(io::Error::new(io::ErrorKind::UnexpectedEof, what))
}
