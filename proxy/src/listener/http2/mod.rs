//! HTTP/2 towards the client, with prior knowledge or (with TLS) ALPN.
//!
//! Limits are set explicitly (`docs/security.md` 17). GOAWAY closes a connection that has no
//! streams for the idle timeout, is too old, or whose listener closes. A connection whose peer
//! reads nothing is dropped, and so is such a stream ([`stream`]). One task reads and writes the
//! connection ([`crate::codec::http2`]), and one for each stream handles its request.
//!
//! An invalid head, and a stream over the limit, are rejected before there is a request: they are
//! counted and logged here. A client that causes excessive work in other ways gets GOAWAY.

mod stream;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use outrigger_config::model::{Listener, ListenerTimeouts};
use outrigger_filters::reason::Reason;
use tokio::time::{Instant, Sleep, sleep_until};

use self::stream::RequestStream;
use crate::{
    codec::http2::{
        Error, ErrorCode, Excess,
        connection::{Accepted, Settings, Shared, Side},
        driver::Driver,
        incoming::{self, Arrived},
    },
    connection::{client::Client, io::ClientIo},
    edge::{self, Received},
    respond::{self, Unparsed},
};

pub(super) use crate::codec::http2::PREFACE;

/// What a client may send before the proxy grants more (`docs/security.md`, "Limits").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes after which a connection yields to other tasks: a frame with thousands of tiny headers
/// costs far more than one with a body.
const TURN: usize = 16 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve(client: Rc<Client>, io: ClientIo) {
    let (view, id) = client.listener.current(&client.worker);
    let listener = view.config().listener(id);
    let mut clocks = Clocks::new(&client, listener.timeouts.clone());
    let mut connection = Connection::new(&client, io, listener);
    drop(view);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.poll(cx) {
                connection.ended(result.err());
                return Poll::Ready(());
            }
            match clocks.poll(&connection.shared, cx) {
                Poll::Ready(Due::GoAway) => connection.shared.go_away(),
                Poll::Ready(Due::SlowHead) => {
                    edge::refuse_unparsed(&client, respond::SLOW_HEAD.over_http2());
                    connection
                        .shared
                        .abort(ErrorCode::ENHANCE_YOUR_CALM, "a header block does not end");
                }
                Poll::Ready(Due::SlowRead) => {
                    client.record_slow_reader();
                    return Poll::Ready(());
                }
                Poll::Ready(Due::Drop) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

fn settings(listener: &Listener) -> Settings {
    Settings {
        side: Side::Server,
        streams: listener.limits.streams,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        header_list: header_list_size(listener.limits.header_bytes),
    }
}

/// The edge responds 431 to a head that is too large, so most of those must reach it. The edge does
/// not count the 32 bytes that HTTP/2 adds for each header.
fn header_list_size(limit: usize) -> u32 {
    u32::try_from(limit.saturating_mul(2)).unwrap_or(u32::MAX)
}

/// A connection and the state that its streams share.
struct Connection {
    client: Rc<Client>,
    shared: Rc<Shared>,
    driver: Driver<ClientIo>,
    /// `timeouts.bodyIdle`: how long a client may read nothing of a response.
    limit: Option<Duration>,
}

impl Connection {
    fn new(client: &Rc<Client>, io: ClientIo, listener: &Listener) -> Self {
        let shared = Shared::new(settings(listener));
        Self {
            client: Rc::clone(client),
            driver: Driver::new(io, Rc::clone(&shared), TURN),
            shared,
            limit: listener.timeouts.body_idle,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self {
            client,
            driver,
            limit,
            ..
        } = self;
        let polled = driver.poll(cx, |request| begin(client, request, *limit));
        self.count_refusals();
        polled
    }

    /// Counts streams that were rejected before they were requests, and logs malformed ones.
    fn count_refusals(&self) {
        let refusals = self.shared.take_refusals();
        for _ in 0..refusals.malformed {
            edge::refuse_unparsed(&self.client, respond::HTTP2_PROTOCOL);
        }
        for _ in 0..refusals.streams {
            self.client.worker.metrics.reject(Reason::LimitStreams);
        }
    }

    /// Counts and logs a connection that ended because of what the client sent.
    fn ended(&self, error: Option<Error>) {
        if let Some(error) = &error {
            tracing::debug!(%error, "client connection failed");
        }
        let refusal = match (self.shared.excess(), error) {
            (Some(excess), _) => Some(too_much(excess)),
            // Counted already.
            (None, Some(Error::Connection(ErrorCode::ENHANCE_YOUR_CALM, _))) => None,
            (None, Some(Error::Connection(..))) => Some(respond::HTTP2_PROTOCOL),
            (None, _) => None,
        };
        if let Some(refusal) = refusal {
            edge::refuse_unparsed(&self.client, refusal);
        }
    }
}

/// Starts a task that handles a request.
fn begin(client: &Rc<Client>, request: Accepted, limit: Option<Duration>) {
    let Accepted { head, stream } = request;
    let body = match incoming::begin(stream.clone()) {
        Arrived::Nothing => Received::Nothing,
        Arrived::Whole(data, trailers) => Received::Whole(data, trailers.map(Box::new)),
        Arrived::Some(incoming) => Received::Http2(incoming),
    };
    let answer = edge::handle(client, head, body);
    debug_assert!(
        size_of_val(&answer) <= 256,
        "every request copies this future"
    );
    // Boxed: the runtime moves the future of a task several times.
    drop(tokio::task::spawn_local(Box::pin(
        RequestStream::new(answer, stream, limit).serve(),
    )));
}

fn too_much(excess: Excess) -> Unparsed {
    match excess {
        Excess::Resets => respond::HTTP2_RESETS,
        Excess::Pings => respond::HTTP2_PINGS,
        Excess::Settings => respond::HTTP2_SETTINGS,
        Excess::Data => respond::HTTP2_DATA,
        Excess::Continuation => respond::HTTP2_CONTINUATION,
        Excess::Fields => respond::HTTP2_FIELDS,
    }
}

enum Due {
    GoAway,
    /// A header block is not complete in time.
    SlowHead,
    /// The client reads nothing.
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
        Self {
            client,
            timeouts,
            timer: None,
            ending: None,
        }
    }

    fn poll(&mut self, connection: &Shared, cx: &mut Context<'_>) -> Poll<Due> {
        if self.ending.is_none() && self.client.check_closing() {
            self.ending = Some(Instant::now());
            return Poll::Ready(Due::GoAway);
        }
        loop {
            let Some((deadline, due)) = self.next_deadline(connection) else {
                return Poll::Pending;
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
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

    fn next_deadline(&self, connection: &Shared) -> Option<(Instant, Due)> {
        let stuck = self.client.watch.stuck_since().zip(self.timeouts.body_idle);
        let quiet = self.client.requests() == 0;
        let idle = match (self.ending, self.timeouts.idle) {
            // A peer that ignores GOAWAY is dropped when it has nothing in flight.
            (Some(since), _) => quiet.then(|| {
                (
                    since.max(self.client.idle_since()) + self.client.grace_period(),
                    Due::Drop,
                )
            }),
            (None, Some(idle)) => quiet.then(|| (self.client.idle_since() + idle, Due::GoAway)),
            (None, None) => None,
        };
        let age = self
            .client
            .age_deadline()
            .filter(|_| self.ending.is_none())
            .map(|end| (end, Due::GoAway));
        let stuck = stuck.map(|(since, limit)| (since + limit, Due::SlowRead));
        let head = connection.head_since().zip(self.timeouts.request_headers);
        let head = head.map(|(since, limit)| (since + limit, Due::SlowHead));
        [stuck, head, idle, age]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }
}
