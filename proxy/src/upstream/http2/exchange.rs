//! One request on a stream, and the head of its answer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, response::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use outrigger_filters::{error::Error, service::Body};
use tokio::time::{Sleep, sleep};

use crate::{
    codec::http2::{
        self, ErrorCode, StreamRef,
        incoming::{self, Arrived},
        sending::{Sending, Stopped},
    },
    upstream::http1::CONTINUE_PATIENCE,
};

/// Bytes of a request body that are kept until the head of its answer is there, so that a request the endpoint has not
/// looked at can go again. Unary gRPC sends its one message with the head.
const KEPT: usize = 64 * 1024;

/// A stream until the head of its answer.
pub(crate) struct Exchange {
    stream: StreamRef,
    /// What of the request is still to be sent.
    sending: Option<Sending>,
    kept: Kept,
    /// While the body waits for the endpoint to ask for it.
    held: Option<Pin<Box<Sleep>>>,
}

/// The head of an answer.
pub(crate) struct Answered {
    /// Status and fields.
    pub(crate) head: Parts,
    /// What has arrived of its body.
    pub(crate) body: Arrived,
    /// The stream, when some of the request is still to be sent.
    pub(crate) rest: Option<Sending>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request's own body failed.
    RequestBody(Error),
    /// The stream or its connection ended.
    Stream(http2::Error),
}

impl Exchange {
    /// A stream on which the head of a request was sent; `ends`: it has no body.
    pub(super) fn new(stream: StreamRef, ends: bool) -> Self {
        let sending = (!ends).then(|| Sending::new(stream.clone()));
        Self {
            stream,
            sending,
            kept: Kept::default(),
            held: None,
        }
    }

    /// Holds the body back until the endpoint says `100 Continue`, or nothing for a while.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Box::pin(sleep(CONTINUE_PATIENCE)));
    }

    /// Whether the body is still held back.
    fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(timer) = &mut self.held {
            match self.stream.poll_interim(cx) {
                Poll::Ready(Some(status)) if status != StatusCode::CONTINUE => {}
                Poll::Ready(Some(_)) => self.held = None,
                Poll::Ready(None) => return true, // the final answer, or none
                Poll::Pending if timer.as_mut().poll(cx).is_ready() => self.held = None,
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Sends what there is of the request and waits for the head of the answer.
    ///
    /// # Errors
    /// There will be none.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
    ) -> Poll<Result<Answered, Failure>> {
        if let Err(error) = self.poll_send(cx, body) {
            return Poll::Ready(Err(Failure::RequestBody(error)));
        }
        let head = ready!(self.stream.poll_response(cx)).map_err(Failure::Stream)?;
        let body = incoming::begin(self.stream.clone());
        let rest = self.sending.take().filter(|_| self.held.is_none()); // what was never asked for is not sent
        Poll::Ready(Ok(Answered { head, body, rest }))
    }

    /// A peer that takes no more of the request may have answered all the same.
    fn poll_send(&mut self, cx: &mut Context<'_>, body: &mut Body) -> Result<(), Error> {
        if self.is_held(cx) {
            return Ok(());
        }
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        match sending.poll(
            cx,
            &mut Keeping {
                body,
                kept: &mut self.kept,
            },
        ) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(()) | Err(Stopped::Stream)) => {
                self.sending = None;
                Ok(())
            }
            Poll::Ready(Err(Stopped::Body(error))) => {
                sending.reset(ErrorCode::CANCEL);
                Err(error)
            }
        }
    }

    /// The body for another try, which sends the same: `body` is what this try left of it. `None` when some of it is gone.
    pub(crate) fn body_again(self, body: Body) -> Option<Body> {
        self.kept.again(body)
    }
}

/// What was sent of a body, while that is little.
#[derive(Default)]
struct Kept {
    first: Option<Bytes>,
    more: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    length: usize,
    ended: bool,
    lost: bool,
}

impl Kept {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.lost {
            return;
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
            self.ended = true;
        }
        let Some(data) = frame.data_ref() else { return };
        self.length += data.len();
        if self.length > KEPT {
            *self = Self {
                lost: true,
                ..Self::default()
            };
        } else if self.first.is_none() {
            self.first = Some(data.clone());
        } else {
            self.more.push(data.clone());
        }
    }

    /// A body of which nothing was taken goes as it is, and one that was taken to its end goes again. What lies between
    /// cannot be told from a stream that its sender adapts to the answers.
    fn again(self, left: Body) -> Option<Body> {
        let untouched = self.first.is_none() && !self.ended && !self.lost;
        match (untouched, self.ended && !self.lost) {
            (true, _) => Some(left),
            (false, false) => None,
            (false, true) if self.more.is_empty() && self.trailers.is_none() => {
                Some(self.first.map_or(Body::Empty, Body::Full))
            }
            (false, true) => {
                let data: Vec<Bytes> = self.first.into_iter().chain(self.more).collect();
                Some(Body::whole(data.concat().into(), self.trailers))
            }
        }
    }
}

/// A body that keeps what is taken of it.
struct Keeping<'a> {
    body: &'a mut Body,
    kept: &'a mut Kept,
}

impl HttpBody for Keeping<'_> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { body, kept } = &mut *self;
        let polled = ready!(Pin::new(&mut **body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                kept.keep(frame);
                kept.ended |= body.is_end_stream();
            }
            None => kept.ended = true,
            Some(Err(_)) => kept.lost = true,
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
