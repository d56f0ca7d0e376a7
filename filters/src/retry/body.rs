//! The bytes of a request body that were sent, kept for another attempt.

use std::{
    cell::RefCell,
    ops::Range,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{error::Error, service::Body};

/// The body of a request that may be sent more than once. It is buffered while it streams, up to a
/// limit; beyond the limit it continues to stream, the buffer is dropped, and the request cannot be
/// sent again.
///
/// The task of an HTTP/2 connection may still poll the body of an aborted attempt. So each attempt
/// has a turn, and a body whose turn is over fails, which resets its stream.
#[derive(Debug, Clone)]
pub struct Kept(Option<Rc<RefCell<Inner>>>);

#[derive(Debug)]
struct Inner {
    source: Body,
    kept: BytesMut,
    trailers: Option<HeaderMap>,
    limit: usize,
    state: State,
    /// Whether further bytes are buffered.
    keeping: bool,
    /// The turns whose bodies may still be read.
    live: Range<u32>,
    /// A reader that waits for more of the source.
    waiting: Option<Waker>,
}

/// Which of the bodies of one request an attempt sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyTurn(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More bytes follow.
    Streaming,
    /// The last byte was read.
    Ended,
    /// The body failed, or exceeded the limit.
    Lost,
}

impl Kept {
    /// Buffers up to `limit` bytes of `body`; an empty one needs no buffer.
    pub fn new(body: Body, limit: usize) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        let too_long = body.size_hint().lower() > limit as u64;
        Self(Some(Rc::new(RefCell::new(Inner {
            source: body,
            kept: BytesMut::new(),
            trailers: None,
            limit,
            state: State::Streaming,
            keeping: !too_long,
            live: 0..0,
            waiting: None,
        }))))
    }

    /// Whether all bytes that were read are still buffered, so that another attempt would send the
    /// same.
    pub fn is_whole(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|inner| inner.borrow().state != State::Lost)
    }

    /// Whether the whole body is buffered, so that two attempts can send it at the same time.
    pub fn is_complete(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|inner| inner.borrow().state == State::Ended)
    }

    /// The body for the next try, and its turn where there are bytes to send; those of earlier tries end.
    pub fn next_try(&self) -> (Body, Option<BodyTurn>) {
        self.replay(true)
    }

    /// The body for a try beside the one that is under way.
    pub fn beside(&self) -> (Body, Option<BodyTurn>) {
        self.replay(false)
    }

    fn replay(&self, alone: bool) -> (Body, Option<BodyTurn>) {
        let Some(inner) = &self.0 else {
            return (Body::Empty, None);
        };
        let turn = {
            let mut inner = inner.borrow_mut();
            let turn = inner.live.end;
            let first = if alone { turn } else { inner.live.start };
            inner.live = first..turn + 1;
            inner.wake();
            turn
        };
        (
            Body::boxed(Replay {
                inner: Rc::clone(inner),
                turn,
                at: 0,
                trailers_sent: false,
            }),
            Some(BodyTurn(turn)),
        )
    }

    /// The response is that of the attempt with this turn, or of none: nothing more is kept, and all other bodies end.
    pub fn settle(&self, winner: Option<BodyTurn>) {
        if let Some(inner) = &self.0 {
            let mut inner = inner.borrow_mut();
            let end = inner.live.end;
            inner.live = winner.map_or(end..end, |BodyTurn(turn)| turn..turn + 1);
            inner.keeping = false;
            inner.wake();
        }
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn take(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            if self.keeping && self.kept.len() + data.len() <= self.limit {
                self.kept.extend_from_slice(data);
            } else {
                self.lose();
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        if self.state == State::Streaming && self.source.is_end_stream() {
            self.state = State::Ended;
        }
    }

    fn lose(&mut self) {
        self.kept = BytesMut::new();
        self.keeping = false;
        self.state = State::Lost;
    }
}

/// The body of one attempt: first the buffered bytes, then the rest of the source.
struct Replay {
    inner: Rc<RefCell<Inner>>,
    turn: u32,
    /// Buffered bytes that this attempt has sent.
    at: usize,
    trailers_sent: bool,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let inner = &mut *this.inner.borrow_mut();
        if !inner.live.contains(&this.turn) {
            return Poll::Ready(Some(Err(Error::ClientGone("this try was given up".into()))));
        }
        if this.at < inner.kept.len() {
            let data = Bytes::copy_from_slice(&inner.kept[this.at..]);
            this.at = inner.kept.len();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if inner.state == State::Ended {
            let trailers = inner.trailers.clone().filter(|_| !this.trailers_sent);
            this.trailers_sent = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let polled = Pin::new(&mut inner.source).poll_frame(cx);
        if polled.is_pending() {
            inner.waiting = Some(cx.waker().clone());
        }
        match ready!(polled) {
            Some(Ok(frame)) => {
                inner.take(&frame);
                this.at = inner.kept.len();
                this.trailers_sent |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                inner.lose();
                Poll::Ready(Some(Err(error)))
            }
            None => {
                if inner.state == State::Streaming {
                    inner.state = State::Ended;
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.inner.borrow();
        match inner.state {
            State::Ended => {
                self.at == inner.kept.len() && (self.trailers_sent || inner.trailers.is_none())
            }
            State::Streaming | State::Lost => {
                self.at == inner.kept.len() && inner.source.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.borrow();
        let kept = (inner.kept.len() - self.at.min(inner.kept.len())) as u64;
        let rest = match inner.state {
            State::Ended => SizeHint::with_exact(0),
            State::Streaming | State::Lost => inner.source.size_hint(),
        };
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(rest.lower() + kept);
        hint
    }
}
