//! HTTP/2 towards the client, prior knowledge or (with TLS) ALPN.
//!
//! Limits are set explicitly (`docs/security.md` 17). A connection without streams for the idle timeout, one that is too
//! old, and one whose listener ends are asked to end by GOAWAY; one that takes nothing of what we write is dropped,
//! and so is a stream ([`stream`]).
//!
//! The `h2` crate is driven here: one task reads and writes the connection, and one for each stream answers it.
//! [`meter`] follows the frames, [`outflow`] bounds what the connection holds of its answers.
//!
//! h2 refuses malformed heads by itself and tells nobody. They are counted by what is written: resets with
//! PROTOCOL_ERROR that no request accounts for. So are streams over the limit, which it refuses. What else the frames
//! tell ends the connection: a head that does not end in time, and frames that are nothing but work for us.

mod meter;
mod outflow;
mod stream;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{Request, header};
use outrigger_config::model::{Listener, ListenerTimeouts};
use tokio::time::{Instant, Sleep, sleep_until};

pub(super) use self::meter::{Findings, Meter, PREFACE};
use self::{
    meter::Excess,
    outflow::{Held, Outflow},
    stream::RequestStream,
};
use super::{client::Client, io::ClientIo};
use crate::{
    codec::{
        fields,
        http2::incoming::{self, Arrived, Streams},
    },
    edge::{self, Received},
    respond,
};

/// What a client may send before we answer (`docs/security.md`, "Limits").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes of a frame, and of the table with which the client's fields are packed: what every peer starts with.
const FRAME: u32 = 16 * 1024;
const HEADER_TABLE: u32 = 4 * 1024;

/// Streams that the client may reset before we have seen them, at one time (CVE-2023-44487), and streams that h2 may have
/// to reset for what the client sent, in the life of a connection (CVE-2025-8671). What happens in a short time is
/// metered ([`meter`]).
const RESETS_UNSEEN: usize = 20;
const RESETS_BY_H2: usize = 1024;

/// Bytes of one stream's answer that are buffered while the client takes none; [`outflow`] bounds all together.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve(client: Rc<Client>, io: ClientIo) {
    let mut told = Told::default();
    let (view, id) = client.listener.current(&client.worker);
    let listener = view.config().listener(id);
    let mut clocks = Clocks::new(&client, listener.timeouts.clone());
    let mut connection = Connection::new(&client, io, listener);
    drop(view);
    let mut said_goodbye = false;
    poll_fn(|cx| {
        loop {
            let polled = connection.poll(cx);
            told.tell(&client);
            if let Poll::Ready(result) = polled {
                ended(&client, result.err());
                return Poll::Ready(());
            }
            if client.watch.is_turned_away() {
                if said_goodbye {
                    ended(&client, None);
                    return Poll::Ready(());
                }
                said_goodbye = true; // with the next look at the socket
                continue;
            }
            match clocks.poll(cx) {
                Poll::Ready(Due::GoAway) => connection.end(),
                Poll::Ready(Due::SlowHead) => {
                    edge::refuse_unparsed(&client, respond::SLOW_HEAD.over_http2());
                    client.watch.turn_away();
                }
                Poll::Ready(Due::SlowRead) => {
                    client.reads_too_slowly();
                    return Poll::Ready(());
                }
                Poll::Ready(Due::Drop) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

fn builder(listener: &Listener) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(listener.limits.streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .header_table_size(HEADER_TABLE)
        .max_header_list_size(header_list_size(listener.limits.header_bytes))
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(Some(RESETS_BY_H2))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(usize::MAX); // small frames are brought together instead
    builder
}

/// A connection and what its streams share.
struct Connection {
    client: Rc<Client>,
    stage: Stage,
    /// It is asked to end as soon as it has begun.
    ends: bool,
    bodies: Rc<Streams>,
    outflow: Rc<Outflow>,
    /// `timeouts.bodyIdle`: how long a client may take nothing of an answer.
    limit: Option<Duration>,
}

enum Stage {
    Handshaking(server::Handshake<ClientIo, Held>),
    Serving(server::Connection<ClientIo, Held>),
}

impl Connection {
    fn new(client: &Rc<Client>, mut io: ClientIo, listener: &Listener) -> Self {
        let bodies = Rc::<Streams>::default();
        io.meter_frames(Rc::clone(&bodies));
        Self {
            client: Rc::clone(client),
            stage: Stage::Handshaking(builder(listener).handshake(io)),
            ends: false,
            bodies,
            outflow: Rc::default(),
            limit: listener.timeouts.body_idle,
        }
    }

    /// Asks the client to end the connection, by GOAWAY.
    fn end(&mut self) {
        match &mut self.stage {
            Stage::Handshaking(_) => self.ends = true,
            Stage::Serving(connection) => connection.graceful_shutdown(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match &mut self.stage {
                Stage::Handshaking(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.ends {
                        connection.graceful_shutdown();
                    }
                    self.stage = Stage::Serving(connection);
                }
                Stage::Serving(connection) => {
                    let accepted = connection.poll_accept(cx);
                    if self.bodies.is_due() {
                        self.bodies.bring_together();
                    }
                    match ready!(accepted) {
                        Some(Ok((request, respond))) => self.begin(request, respond),
                        Some(Err(error)) => return Poll::Ready(Err(error)),
                        None => return Poll::Ready(Ok(())),
                    }
                }
            }
        }
    }

    /// Begins to answer a request; the rest is done by a task of its own.
    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Held>) {
        let (head, recv) = request.into_parts();
        let length = head.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| fields::length(value.as_bytes()));
        let body = match incoming::begin(recv, length, &self.bodies) {
            Arrived::Nothing => Received::Nothing,
            Arrived::Whole(data, trailers) => Received::Whole(data, trailers.map(Box::new)),
            Arrived::Some(incoming) => Received::Http2(incoming),
        };
        let answer = edge::handle(&self.client, head, body);
        debug_assert!(size_of_val(&answer) <= 256, "every request copies this future");
        let stream = RequestStream::new(answer, respond, Rc::clone(&self.outflow), self.limit);
        // In a box: the runtime moves the future of a task several times.
        drop(tokio::task::spawn_local(Box::pin(stream.serve())));
    }
}

/// What of the meter's findings was counted and logged.
#[derive(Default)]
struct Told {
    malformed: u64,
    refused: u64,
}

impl Told {
    /// Counts the streams that h2 refused before they were requests, and logs those that are malformed.
    fn tell(&mut self, client: &Rc<Client>) {
        while client.unexplained_resets() > self.malformed {
            self.malformed += 1;
            edge::refuse_unparsed(client, respond::HTTP2_PROTOCOL);
        }
        while client.watch.findings().refused > self.refused {
            self.refused += 1;
            client.worker.metrics.reject("limit.streams");
        }
    }
}

/// h2 refuses a larger head by resetting the stream as if it might be sent again, unlogged, and counts 32 bytes more for
/// each field than we do. With this room most of what is too large reaches the edge, which answers 431.
fn header_list_size(limit: usize) -> u32 {
    u32::try_from(limit.saturating_mul(2)).unwrap_or(u32::MAX)
}

/// Counts and logs a connection that ends for what the client sent.
fn ended(client: &Rc<Client>, error: Option<h2::Error>) {
    let found = client.watch.findings();
    let refusal = match found.excess.or(found.told) {
        Some(Excess::Resets) => Some(respond::HTTP2_RESETS),
        Some(Excess::Pings) => Some(respond::HTTP2_PINGS),
        Some(Excess::Settings) => Some(respond::HTTP2_SETTINGS),
        Some(Excess::Data) => Some(respond::HTTP2_DATA),
        Some(Excess::Continuation) => Some(respond::HTTP2_CONTINUATION),
        Some(Excess::Fields) => Some(respond::HTTP2_FIELDS),
        None if error.as_ref().is_some_and(respond::is_protocol_error) => Some(respond::HTTP2_PROTOCOL),
        None => None,
    };
    if let Some(error) = error {
        tracing::debug!(%error, "client connection failed");
    }
    if let Some(refusal) = refusal {
        edge::refuse_unparsed(client, refusal);
    }
}

enum Due {
    GoAway,
    /// A header block does not end.
    SlowHead,
    /// The client takes nothing.
    SlowRead,
    Drop,
}

struct Clocks<'a> {
    client: &'a Client,
    timeouts: ListenerTimeouts,
    timer: Option<Pin<Box<Sleep>>>,
    /// When GOAWAY was sent.
    ending: Option<Instant>,
}

impl<'a> Clocks<'a> {
    fn new(client: &'a Client, timeouts: ListenerTimeouts) -> Self {
        Self { client, timeouts, timer: None, ending: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        if self.ending.is_none() && self.client.is_ending() {
            self.ending = Some(Instant::now());
            return Poll::Ready(Due::GoAway);
        }
        loop {
            let Some((deadline, due)) = self.next_deadline() else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.is_elapsed() || deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                self.ending.get_or_insert_with(Instant::now);
                return Poll::Ready(due);
            }
        }
    }

    fn next_deadline(&self) -> Option<(Instant, Due)> {
        let stuck = self.client.watch.stuck_since().zip(self.timeouts.body_idle);
        let quiet = self.client.requests() == 0;
        let idle = match (self.ending, self.timeouts.idle) {
            // A peer that ignores GOAWAY is dropped when it has nothing in flight.
            (Some(since), _) => {
                quiet.then(|| (since.max(self.client.idle_since()) + self.client.last_chance(), Due::Drop))
            }
            (None, Some(idle)) => quiet.then(|| (self.client.idle_since() + idle, Due::GoAway)),
            (None, None) => None,
        };
        let age = self.client.end_of_age().filter(|_| self.ending.is_none()).map(|end| (end, Due::GoAway));
        let stuck = stuck.map(|(since, limit)| (since + limit, Due::SlowRead));
        let head = self.client.watch.findings().head_since.zip(self.timeouts.request_headers);
        let head = head.map(|(since, limit)| (since + limit, Due::SlowHead));
        [stuck, head, idle, age].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
