//! HTTP/1.1: one connection, one request at a time.
//!
//! An own client instead of a library, because it shares a CPU with the origin and must use little
//! of it: the bytes of the request are rendered once, all connections of a thread read into one
//! buffer, and a response head that was seen before is recognized by its bytes. Every response is
//! still verified.

mod answer;
mod chunks;
pub(super) mod head;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::answer::Reading;
use super::connect::{Dialer, Wire};
use super::failure::{Failure, FailureKind};
use super::lane::{Broken, Client, Lane};
use super::tally::Answer;
use crate::content::Content;

/// An unsolicited status line: the peer timed out (RFC 9110 §15.5.9) and is about to close.
const IDLE_TIMEOUT: &[u8] = b"HTTP/1.1 408";

/// A client with at most one open connection.
pub(super) struct Http1 {
    dialer: Dialer,
    idle: Option<Open>,
    /// The head of the current request, if each request has its own.
    rendered: Vec<u8>,
}

struct Open {
    stream: Wire,
    received: Rc<Cell<u64>>,
    reused: bool,
    /// Bytes of an incomplete message; almost always empty.
    partial: Vec<u8>,
}

/// The unsent part of a request.
struct Outgoing<'a> {
    head: &'a [u8],
    frame: Bytes,
    content: Content,
    /// Whether the written data was flushed; TLS may buffer some of it.
    flushed: bool,
    /// Why nothing more can be sent. A response may arrive nevertheless.
    broken: Option<io::Error>,
}

/// What happened to an idle connection.
enum Idle {
    Open,
    Closed,
    Spoken,
}

impl Http1 {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            idle: None,
            rendered: Vec::new(),
        }
    }
}

impl Client for Http1 {
    /// The connection is put back only after a complete exchange, so an aborted exchange closes it.
    async fn attempt(&mut self, lane: &Lane, number: u64) -> Result<Answer, Broken> {
        let mut open = match self.idle.take() {
            Some(mut open) => open.still_usable(lane).await.map(|()| open)?,
            None => Open::new(&self.dialer, lane).await?,
        };
        let head = lane.run.template.head(number, &mut self.rendered);
        let outgoing = Outgoing::new(head, lane.run.template.content());
        let (answer, reusable) = open.exchange(lane, outgoing).await?;
        if reusable && !lane.run.plan.connection_per_request {
            open.reused = true;
            self.idle = Some(open);
        }
        Ok(answer)
    }

    async fn is_open(&mut self, lane: &Lane) -> bool {
        match &mut self.idle {
            Some(open) => open.still_usable(lane).await.is_ok(),
            None => false,
        }
    }
}

impl Open {
    async fn new(dialer: &Dialer, lane: &Lane) -> Result<Self, Broken> {
        let stream = dialer.connect(lane).await?;
        let received = stream.received();
        Ok(Self {
            stream,
            received,
            reused: false,
            partial: Vec::new(),
        })
    }

    async fn still_usable(&mut self, lane: &Lane) -> Result<(), Broken> {
        match poll_fn(|cx| Poll::Ready(self.look(lane, cx))).await {
            Idle::Open => Ok(()),
            Idle::Closed => Err(Broken::Unsent),
            Idle::Spoken => {
                let detail = "unsolicited bytes on an idle connection";
                Err(Broken::Failed(Failure::new(FailureKind::Protocol, detail)))
            }
        }
    }

    /// Needs no system call unless the kernel has reported an event.
    fn look(&mut self, lane: &Lane, cx: &mut Context<'_>) -> Idle {
        let mut buffer = lane.read_buffer.borrow_mut();
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Idle::Open,
            Poll::Ready(Err(_)) => Idle::Closed,
            Poll::Ready(Ok(())) => match buffer.filled() {
                told if told.is_empty() || told.starts_with(IDLE_TIMEOUT) => Idle::Closed,
                _ => Idle::Spoken,
            },
        }
    }

    /// The response, and whether the connection can be reused.
    async fn exchange(
        &mut self,
        lane: &Lane,
        mut outgoing: Outgoing<'_>,
    ) -> Result<(Answer, bool), Broken> {
        let before = self.received.get();
        let mut reading = Reading::new(&lane.run.verifier);
        let outcome = poll_fn(|cx| {
            self.poll_send(cx, &mut outgoing);
            self.poll_receive(lane, cx, &mut reading)
        })
        .await;
        match outcome {
            Ok(()) => {
                let reusable = reading.keeps_connection() && outgoing.is_sent();
                Ok((reading.into_answer(), reusable))
            }
            Err(failure) => {
                let silent = self.received.get() == before;
                let failure = outgoing
                    .broken
                    .filter(|_| silent)
                    .map_or(failure, |error| Failure::of(&error));
                let ended = matches!(failure.kind, FailureKind::Closed | FailureKind::Reset);
                Err(match self.reused && silent && ended {
                    true => Broken::Stale(failure),
                    false => Broken::Failed(failure),
                })
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, outgoing: &mut Outgoing<'_>) {
        if outgoing.broken.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(cx, outgoing)
        {
            outgoing.broken = Some(error);
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing<'_>,
    ) -> Poll<io::Result<()>> {
        while !outgoing.is_sent() {
            let parts = [IoSlice::new(outgoing.head), IoSlice::new(&outgoing.frame)];
            let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &parts))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outgoing.advance(count);
        }
        if !outgoing.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            outgoing.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until the response is complete. All connections of the thread share the buffer, so
    /// incomplete data is saved before another connection uses it.
    fn poll_receive(
        &mut self,
        lane: &Lane,
        cx: &mut Context<'_>,
        reading: &mut Reading<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut buffer = lane.read_buffer.borrow_mut();
        let mut filled = self.partial.len();
        buffer[..filled].copy_from_slice(&mem::take(&mut self.partial));
        loop {
            let mut space = ReadBuf::new(&mut buffer[filled..]);
            match Pin::new(&mut self.stream).poll_read(cx, &mut space) {
                Poll::Pending => {
                    self.partial.extend_from_slice(&buffer[..filled]);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::of(&error))),
                Poll::Ready(Ok(())) => {}
            }
            let count = space.filled().len();
            if count == 0 {
                return Poll::Ready(reading.end());
            }
            filled += count;
            let taken = match reading.take(&buffer[..filled], &lane.heads) {
                Ok(taken) => taken,
                Err(failure) => return Poll::Ready(Err(failure)),
            };
            if reading.is_complete() {
                return Poll::Ready(match filled - taken {
                    0 => Ok(()),
                    surplus => Err(too_much(surplus)),
                });
            }
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
        }
    }
}

fn too_much(surplus: usize) -> Failure {
    Failure::new(
        FailureKind::Protocol,
        format!("{surplus} bytes after the end of the response"),
    )
}

impl<'a> Outgoing<'a> {
    /// The first frame is available from the start, so that it is sent together with the head.
    fn new(head: &'a [u8], mut content: Content) -> Self {
        Self {
            head,
            frame: content.next_frame().unwrap_or_default(),
            content,
            flushed: false,
            broken: None,
        }
    }

    fn is_sent(&self) -> bool {
        self.head.is_empty() && self.frame.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len());
        self.head = &self.head[of_head..];
        self.frame.advance(count - of_head);
        if self.is_sent() {
            self.frame = self.content.next_frame().unwrap_or_default();
        }
    }
}
