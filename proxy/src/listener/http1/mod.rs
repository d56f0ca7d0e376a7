//! HTTP/1.1 towards the client, with the proxy's own codec (RFC 9112).
//!
//! One task serves a connection, one request after the other: [`head`] parses it, [`edge::handle`]
//! handles it, [`response`] writes the response. The same task polls request and response
//! concurrently; the request body reads the socket itself when it is polled
//! ([`crate::connection::link`]). Between requests a connection holds its socket and one timer
//! only: the buffers are a [`room::Room`] of its worker, taken when there is something to read.
//!
//! Ambiguous input has one interpretation or is rejected: bare LF, folded lines, a fragment in the
//! target, and a length beside chunks are rejected. After a rejection nothing is read as a request.

pub(crate) mod fuzzing;
mod head;
mod response;
mod room;
#[cfg(test)]
mod tests;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Response, StatusCode};
use http_body::Body as _;
use outrigger_config::model::ListenerTimeouts;
use outrigger_filters::service::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use self::{
    head::{Head, Limits, Rejection},
    response::{RequestInfo, Sending},
    room::Room,
};
use super::tunnel;
use crate::{
    codec::encode::{Framing, WrongLength},
    connection::{
        client::{CLOSE_GRACE, Client},
        io::ClientIo,
        link::Link,
    },
    edge::{self, Received},
    respond::{self, Unparsed},
};

/// How long, and for how many bytes, a closing connection is still read, so that the peer gets the
/// response and not a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Tells the client to send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Serves requests until one side ends the connection.
pub(crate) async fn serve(client: Rc<Client>, io: ClientIo) {
    let mut connection = Connection::new(&client, io);
    let end = poll_fn(|cx| connection.poll(cx)).await;
    let Some(mut io) = connection.into_io() else {
        return;
    };
    // Bytes after the last request: closing with unread bytes would reset the connection and
    // destroy the response.
    let unread = io.has_front();
    // The final steps are boxed: an idle connection would carry the space for them all its life.
    match end {
        End::Cut => {}
        End::Broken if !unread => {}
        End::Closed if !unread => io.close_notify(),
        End::Broken | End::Closed | End::Answered => Box::pin(linger(io)).await,
        End::SlowHead => Box::pin(reject_slow_head(&client, io)).await,
        End::Tunnel => {
            if let Some(tunnel) = client.take_tunnel() {
                Box::pin(tunnel::run(tunnel, &client, io)).await;
            }
        }
    }
}

/// Responds 408 to a head that was not complete in time.
pub(crate) async fn reject_slow_head(client: &Rc<Client>, mut io: ClientIo) {
    edge::refuse_unparsed(client, respond::SLOW_HEAD);
    let _ = timeout(LINGER, io.write_all(respond::SLOW_HEAD.bytes)).await;
    linger(io).await;
}

/// Closes the sending side and reads what the peer still sends, within limits.
pub(super) async fn linger(mut io: ClientIo) {
    let mut left = LINGER_BYTES;
    let mut buffer = vec![0; 16 * 1024];
    let _ = timeout(LINGER, async {
        let _ = io.shutdown().await; // under TLS this sends close_notify
        while let Ok(read @ 1..) = io.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    })
    .await;
}

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Nothing more to do.
    Closed,
    /// In the middle of a message.
    Broken,
    /// In the middle of a message whose close could look like its regular end.
    Cut,
    /// After a response, while the peer may still be sending.
    Answered,
    /// A head was not complete in time.
    SlowHead,
    /// The response was a 101.
    Tunnel,
}

/// One connection between its first request and its end.
struct Connection {
    client: Rc<Client>,
    link: Rc<Link>,
    /// The buffers, while there is something to read or to write.
    room: Option<Box<Room>>,
    stage: Stage,
    request: RequestInfo,
    /// Since when a head is incomplete.
    head_since: Option<Instant>,
    /// Since when the idle connection is closing.
    ending_since: Option<Instant>,
}

/// What a connection does.
enum Stage {
    /// Reads a head.
    Head,
    /// Waits for the response.
    Answering(edge::Answer),
    /// Writes the response.
    Sending(Reply),
    /// The response is written, and the request body still has a reader.
    Rest,
}

/// A response that is being written.
struct Reply {
    /// `None` once its end is in the output buffer.
    body: Option<Body>,
    sending: Sending,
    after: After,
}

/// What follows a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Another request, unless the connection must close.
    Next,
    Tunnel,
    /// The end: the request was rejected as invalid.
    Rejected,
    /// The end: the body was incomplete.
    Broken,
}

/// The next stage, or the end.
type Step = Poll<Result<Stage, End>>;

impl Connection {
    fn new(client: &Rc<Client>, io: ClientIo) -> Self {
        Self {
            client: Rc::clone(client),
            link: Link::new(io),
            room: None,
            stage: Stage::Head,
            request: RequestInfo::UNREAD,
            head_since: None,
            ending_since: None,
        }
    }

    /// Drops the request in flight and returns the socket.
    fn into_io(mut self) -> Option<ClientIo> {
        // Drops the request and its body, which would otherwise hold the link.
        self.stage = Stage::Rest;
        let io = self.link.take_io();
        if let Some(mut room) = self.room.take() {
            room.read = self.link.take_buffer();
            room::put(room);
        }
        io
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.link.enter();
        let polled = self.run(cx);
        self.link.leave(cx);
        polled
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let step = match self.stage {
                Stage::Head => self.poll_head(cx),
                Stage::Answering(_) => self.poll_answer(cx),
                Stage::Sending(_) => self.poll_send(cx),
                Stage::Rest => self.poll_rest(cx),
            };
            match step {
                Poll::Ready(Ok(stage)) => self.stage = stage,
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                // Nothing moves: only now a timeout may end the connection.
                Poll::Pending => return self.poll_clocks(cx),
            }
        }
    }

    /// The buffers of this connection; taken now if it has none.
    fn room(&mut self) -> &mut Room {
        let link = &self.link;
        self.room.get_or_insert_with(|| {
            let mut room = room::take();
            link.lend_buffer(&mut room.read);
            room
        })
    }

    /// Returns the buffers: an idle connection holds none.
    fn give_back(&mut self) {
        if let Some(mut room) = self.room.take() {
            room.read = self.link.take_buffer();
            room::put(room);
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Step {
        loop {
            if !self.link.is_drained() {
                match self.take_head() {
                    Ok(Some(head)) => return Poll::Ready(Ok(self.begin(head))),
                    Ok(None) => {}
                    Err(refused) => return Poll::Ready(self.reject(refused)),
                }
            }
            self.room();
            match self.link.poll_read(cx) {
                Poll::Ready(Ok(1..)) => {}
                // The end of the stream between two requests, which is no error.
                Poll::Ready(Ok(_)) if self.link.is_drained() => {
                    return Poll::Ready(Err(End::Closed));
                }
                Poll::Ready(_) => return Poll::Ready(Err(End::Broken)),
                Poll::Pending => {
                    // Between two requests the connection holds no buffer; within a head its time
                    // limit runs.
                    if self.link.is_drained() {
                        self.give_back();
                        self.client.mark_idle();
                    } else {
                        self.head_since.get_or_insert_with(Instant::now);
                        self.client.mark_active();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Head>, Rejection> {
        let (view, id) = self.client.listener.current(&self.client.worker);
        let limits = &view.config().listener(id).limits;
        let limits = Limits {
            bytes: limits.header_bytes,
            fields: limits.headers,
        };
        let link = Rc::clone(&self.link);
        let room = self.room();
        link.with_read(|read| room.scan.take(read, &mut room.fields, limits))
    }

    fn begin(&mut self, head: Head) -> Stage {
        (self.head_since, self.ending_since) = (None, None);
        self.request = head.request;
        let body = self
            .link
            .begin(head.decoder, head.expects)
            .map_or(Received::Nothing, Received::Http1);
        let answer = edge::handle(&self.client, head.parts, body);
        debug_assert!(
            size_of_val(&answer) <= 256,
            "every request moves this future"
        );
        Stage::Answering(answer)
    }

    /// Counts, logs and responds to an invalid head.
    fn reject(&mut self, refused: Rejection) -> Result<Stage, End> {
        self.head_since = None;
        self.client.mark_active();
        let refusal: Unparsed = match refused {
            Rejection::Malformed | Rejection::Preface => respond::HTTP1_PARSE,
            Rejection::TooLarge => respond::HTTP1_TOO_LARGE,
            Rejection::TargetTooLong => respond::HTTP1_TARGET_TOO_LONG,
        };
        edge::refuse_unparsed(&self.client, refusal);
        // An HTTP/2 client could not read an HTTP/1.1 response.
        if refused == Rejection::Preface {
            return Err(End::Answered);
        }
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = refusal.status.unwrap_or(StatusCode::BAD_REQUEST);
        self.request = RequestInfo::UNREAD;
        Ok(self.reply(response, RequestInfo::UNREAD, After::Rejected))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Step {
        let Stage::Answering(answer) = &mut self.stage else {
            return Poll::Ready(Err(End::Broken));
        };
        match Pin::new(answer).poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(self.answer(cx, response))),
            // Only HTTP/2 has streams to reset.
            Poll::Ready(Err(_)) => Poll::Ready(Err(End::Broken)),
            Poll::Pending => {
                self.send_continue();
                let link = Rc::clone(&self.link);
                let out = &mut self.room().out;
                // Only `100 Continue` can be waiting here.
                if !out.is_empty()
                    && let Poll::Ready(Err(_)) = link.poll_write(cx, out)
                {
                    return Poll::Ready(Err(End::Broken));
                }
                self.poll_closed(cx)
            }
        }
    }

    /// Sends `100 Continue` when the body was polled and the client waits for it.
    fn send_continue(&mut self) {
        if self.link.take_continue() {
            self.room().out.own().extend_from_slice(CONTINUE);
        }
    }

    /// Detects a client that disconnects, while nothing else reads.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Step {
        if self.link.is_read() {
            ready!(self.link.poll_closed(cx));
            return Poll::Ready(Err(End::Broken));
        }
        Poll::Pending
    }

    fn answer(&mut self, cx: &mut Context<'_>, response: Response<Body>) -> Stage {
        self.send_continue();
        self.link.response_started();
        // An unused body: without its end there is no boundary before the next request, so the
        // connection cannot be reused.
        let wasted = !self.link.is_read() && !self.link.has_reader() && !self.link.discard_body(cx);
        let request = RequestInfo {
            keep_alive: self.request.keep_alive && !wasted,
            ..self.request
        };
        let after = if self.client.has_tunnel() {
            After::Tunnel
        } else {
            After::Next
        };
        self.reply(response, request, after)
    }

    fn reply(&mut self, response: Response<Body>, request: RequestInfo, after: After) -> Stage {
        let (mut head, body) = response.into_parts();
        let room = self.room();
        let sending = room::with_today(|today| {
            response::begin(room.out.own(), &mut head, &body, request, today)
        });
        // The map is reused for the headers of the next request.
        head.headers.clear();
        room.fields = head.headers;
        Stage::Sending(Reply {
            body: Some(body),
            sending,
            after,
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Step {
        loop {
            let (Stage::Sending(reply), Some(room)) = (&mut self.stage, &mut self.room) else {
                return Poll::Ready(Err(End::Broken));
            };
            let waits = reply.fill(cx, room).is_pending();
            match self.link.poll_write(cx, &mut room.out) {
                Poll::Ready(Ok(())) if reply.body.is_none() => return Poll::Ready(self.sent(cx)),
                Poll::Ready(Ok(())) if waits => return self.poll_closed(cx),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Broken)),
                Poll::Pending => return self.poll_closed(cx),
            }
        }
    }

    /// The response is written.
    fn sent(&self, cx: &mut Context<'_>) -> Result<Stage, End> {
        let Stage::Sending(reply) = &self.stage else {
            return Err(End::Broken);
        };
        match reply.after {
            After::Tunnel => Err(End::Tunnel),
            After::Rejected => Err(End::Answered),
            // A body without length ends with its connection. A regular close would make the
            // incomplete body look complete.
            After::Broken if reply.sending.body.framing() == Framing::UntilClose => Err(End::Cut),
            After::Broken => Err(End::Broken),
            After::Next if reply.sending.last && self.link.is_read() => Err(End::Closed),
            After::Next if reply.sending.last => Err(End::Answered),
            After::Next => self.next(cx),
        }
    }

    /// Starts another request, once this one was read to its end.
    fn next(&self, cx: &mut Context<'_>) -> Result<Stage, End> {
        if self.link.has_reader() {
            self.link.restart_body_timer();
            return Ok(Stage::Rest);
        }
        if self.link.is_read() || self.link.discard_body(cx) {
            Ok(Stage::Head)
        } else {
            Err(End::Answered)
        }
    }

    fn poll_rest(&self, cx: &mut Context<'_>) -> Step {
        if self.link.has_reader() {
            Poll::Pending
        } else {
            Poll::Ready(self.next(cx))
        }
    }

    /// Ready when a timeout has elapsed.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.client.check_eviction(|| self.link.has_unread()) {
            return Poll::Ready(End::Closed); // it is idle, otherwise this timer would not run
        }
        let Some((deadline, end)) = self.next_deadline() else {
            return Poll::Pending;
        };
        let mut alarm = self.client.alarm.take();
        let rung = alarm.poll(deadline, cx);
        self.client.alarm.set(alarm);
        ready!(rung);
        if matches!(end, End::Cut) {
            self.client.record_slow_reader();
        }
        Poll::Ready(end)
    }

    fn timeout(&self, of: impl Fn(&ListenerTimeouts) -> Option<Duration>) -> Option<Duration> {
        let (view, id) = self.client.listener.current(&self.client.worker);
        of(&view.config().listener(id).timeouts)
    }

    fn next_deadline(&mut self) -> Option<(Instant, End)> {
        let body = |since, end| {
            self.timeout(|of| of.body_idle)
                .map(|limit| (since + limit, end))
        };
        if let Some(since) = self.client.watch.stuck_since() {
            return body(since, End::Cut);
        }
        match self.stage {
            Stage::Head => {}
            // The bodies have their own timers.
            Stage::Answering(_) | Stage::Sending(_) => return None,
            // The body's own timer limits the silence of the client. It is not polled while the
            // upstream accepts nothing.
            Stage::Rest => {
                return self
                    .link
                    .last_polled()
                    .and_then(|since| body(since, End::Answered));
            }
        }
        if let Some(since) = self.head_since {
            return self
                .timeout(|of| of.request_headers)
                .map(|limit| (since + limit, End::SlowHead));
        }
        if self.client.check_closing() {
            // Counted from the first look, however long it has been idle: a request may be on its
            // way.
            let since = *self.ending_since.get_or_insert_with(Instant::now);
            return Some((since + CLOSE_GRACE, End::Closed));
        }
        self.ending_since = None;
        self.timeout(|of| of.idle)
            .map(|limit| (self.client.idle_since() + limit, End::Closed))
    }
}

impl Reply {
    /// Appends available parts of the body to the output buffer; pending when more is to come
    /// later.
    fn fill(&mut self, cx: &mut Context<'_>, room: &mut Room) -> Poll<()> {
        while let Some(body) = &mut self.body
            && room.out.has_room()
        {
            let sent = match self.sending.body.is_done() {
                true => Ok(()),
                false => match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        self.sending
                            .body
                            .frame(frame, body.is_end_stream(), &mut room.out)
                    }
                    None => self.sending.body.end(None, &mut room.out),
                    Some(Err(_)) => Err(WrongLength),
                },
            };
            if sent.is_err() {
                self.after = After::Broken;
            }
            if sent.is_err() || self.sending.body.is_done() {
                self.body = None;
            }
        }
        Poll::Ready(())
    }
}
