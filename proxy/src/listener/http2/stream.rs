//! One stream: one task handles its request and writes the response.
//!
//! A client that reads nothing of a response for `timeouts.bodyIdle` gets a reset of the stream,
//! which waits for the client's flow-control window. The connection and its other streams continue.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, response::Parts};
use http_body::Body as _;
use outrigger_filters::{
    context::Context as ExchangeContext,
    hop_by_hop::{self, Found},
    recycle::maps,
    service::Body,
};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    codec::{
        date,
        http2::{
            ErrorCode, StreamRef, handed_on,
            sending::{Sending, Stopped},
        },
    },
    edge::Answer,
};

/// One stream, until its response is passed to the connection.
pub(super) struct RequestStream {
    stream: StreamRef,
    exchange: ExchangeContext,
    stage: Stage,
    /// How long the client may read nothing of a response.
    limit: Option<Duration>,
    /// Since when it reads nothing.
    stuck_since: Option<Instant>,
    /// Bytes that it had read then.
    moved: u64,
    /// Created only when a stream waits for its client.
    timer: Option<Pin<Box<Sleep>>>,
    /// `100 Continue` was sent.
    continued: bool,
}

enum Stage {
    Answering(Answer),
    Sending(Sending, Body),
}

impl RequestStream {
    /// A request whose response is not ready yet.
    pub(super) fn new(answer: Answer, stream: StreamRef, limit: Option<Duration>) -> Self {
        let exchange = answer.exchange();
        let continued = !exchange.expects.get();
        let stage = Stage::Answering(answer);
        Self {
            stream,
            exchange,
            stage,
            limit,
            stuck_since: None,
            moved: 0,
            timer: None,
            continued,
        }
    }

    /// Serves the stream to its end, or until the client resets it.
    pub(super) fn serve(mut self) -> impl Future<Output = ()> {
        poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Answering(answer) => match Pin::new(answer).poll(cx) {
                    Poll::Ready(Ok(response)) => match self.begin(response) {
                        Some((sending, body)) => self.stage = Stage::Sending(sending, body),
                        None => return Poll::Ready(()),
                    },
                    Poll::Ready(Err(_)) => {
                        self.stream.reset(ErrorCode::PROTOCOL_ERROR);
                        return Poll::Ready(());
                    }
                    Poll::Pending => {
                        self.go_on();
                        return self.stream.poll_reset(cx);
                    }
                },
                Stage::Sending(sending, body) => {
                    let polled = sending.poll(cx, body);
                    match polled {
                        Poll::Ready(Ok(()) | Err(Stopped::Stream)) => return Poll::Ready(()),
                        Poll::Ready(Err(Stopped::Body(error))) => {
                            let reason = handed_on(&error).unwrap_or(ErrorCode::INTERNAL_ERROR);
                            sending.reset(reason);
                            return Poll::Ready(());
                        }
                        Poll::Pending => {}
                    }
                    if sending.stream().poll_reset(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    let stuck = sending.waits_for_room().then(|| sending.moved());
                    return self.poll_stuck(stuck, cx);
                }
            }
        }
    }

    /// Sends `100 Continue` to a client that waits for it, when the upstream asks for the body.
    fn go_on(&mut self) {
        if !self.continued && self.exchange.is_body_wanted() {
            self.continued = true;
            self.stream
                .respond(StatusCode::CONTINUE, &HeaderMap::new(), false);
        }
    }

    /// Sends the head; returns the body where there is one.
    fn begin(&mut self, response: Response<Body>) -> Option<(Sending, Body)> {
        let (mut head, body) = response.into_parts();
        clean(&mut head);
        let ends = body.is_end_stream();
        if !ends
            && let Some(length) = body.size_hint().exact()
            && !head.headers.contains_key(header::CONTENT_LENGTH)
        {
            head.headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.stream.respond(head.status, &head.headers, ends);
        maps::give_back(head.headers);
        (!ends).then(|| (Sending::new(self.stream.clone()), body))
    }

    /// Ready when the client has read nothing for too long. `stuck`: the stream waits for the
    /// client, which had read this many bytes before. The request body continues meanwhile.
    fn poll_stuck(&mut self, stuck: Option<u64>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(moved) = stuck else {
            self.stuck_since = None;
            return Poll::Pending;
        };
        self.exchange.poll_upload(cx);
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        if std::mem::replace(&mut self.moved, moved) != moved {
            self.stuck_since = None;
        }
        let deadline = *self.stuck_since.get_or_insert_with(Instant::now) + limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| self.exchange.stalled.set(true))
    }
}

/// Prepares the head for HTTP/2: removes connection-specific headers (RFC 9113 section 8.2.2) and
/// adds Date.
fn clean(head: &mut Parts) {
    if head.status.is_informational() {
        // The proxy never sends another 1xx here; the client would wait for a final response.
        head.status = StatusCode::INTERNAL_SERVER_ERROR;
        head.headers.clear();
    }
    let mut found = Found::default();
    let mut encoded = false;
    for name in head.headers.keys() {
        found.see(name);
        encoded |= *name == header::TRANSFER_ENCODING;
    }
    if encoded {
        head.headers.remove(header::TRANSFER_ENCODING);
    }
    if found.any() {
        hop_by_hop::strip_response(&mut head.headers);
    }
    if !head.headers.contains_key(header::DATE) {
        head.headers.insert(header::DATE, date::value());
    }
}
