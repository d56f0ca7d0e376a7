//! One request on a stream, up to the head of its response.

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

/// Bytes of a request body that are kept until the response head arrives, so that a request that
/// the endpoint did not process can be sent again. Unary gRPC sends its one message with the head.
const KEPT: usize = 64 * 1024;

/// A stream up to the head of its response.
pub(crate) struct Exchange {
    stream: StreamRef,
    /// The part of the request that is still to be sent.
    sending: Option<Sending>,
    kept: Kept,
    /// Timer, while the body is held back until the endpoint sends `100 Continue`.
    held: Option<Pin<Box<Sleep>>>,
}

/// The head of a response.
pub(crate) struct Answered {
    pub(crate) head: Parts,
    /// The received part of its body.
    pub(crate) body: Arrived,
    /// The sending side of the stream, when the request is not complete yet.
    pub(crate) rest: Option<Sending>,
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request's own body failed.
    RequestBody(Error),
    /// The stream or its connection ended.
    Stream(http2::Error),
}

impl Exchange {
    /// A stream on which the request head was sent. `ends`: the request has no body.
    pub(super) fn new(stream: StreamRef, ends: bool) -> Self {
        let sending = (!ends).then(|| Sending::new(stream.clone()));
        Self {
            stream,
            sending,
            kept: Kept::default(),
            held: None,
        }
    }

    /// Holds the body back until the endpoint sends `100 Continue`, or for [`CONTINUE_PATIENCE`].
    pub(crate) fn hold(&mut self) {
        self.held = Some(Box::pin(sleep(CONTINUE_PATIENCE)));
    }

    /// Whether the body is still held back.
    fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(timer) = &mut self.held {
            match self.stream.poll_interim(cx) {
                Poll::Ready(Some(status)) if status != StatusCode::CONTINUE => {}
                Poll::Ready(Some(_)) => self.held = None,
                Poll::Ready(None) => return true, // the final response, or the end of the stream
                Poll::Pending if timer.as_mut().poll(cx).is_ready() => self.held = None,
                Poll::Pending => return true,
            }
        }
        false
    }

    /// Sends the request as far as possible and waits for the head of the response.
    ///
    /// # Errors
    /// There will be no response.
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
        // A body that was never asked for is not sent.
        let rest = self.sending.take().filter(|_| self.held.is_none());
        Poll::Ready(Ok(Answered { head, body, rest }))
    }

    /// A peer that accepts no more of the request may still have responded.
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

    /// The body for another attempt, with the same content. `body` is what this attempt left of it.
    /// `None` when a part of it is lost.
    pub(crate) fn body_again(self, body: Body) -> Option<Body> {
        self.kept.again(body)
    }
}

/// The sent part of a body, while it is small.
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

    /// A body that was not started or was read to its end can be replayed. Between the two it
    /// cannot: the client may adapt a stream to the responses.
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

/// A body that keeps a copy of what is read of it.
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
