//! HTTP/1.1 towards the client: hyper's connection under our own clocks.
//!
//! hyper parses and frames; this task owns the socket, so that it can answer 408 when a head is too slow, end an idle
//! connection, wait for the peer to read an answer before closing, take the socket for a tunnel after a 101, and
//! give the buffers of an idle connection back: after [`PARK_AFTER`] without a request hyper's connection is taken
//! apart and only made again when there is something to read.
//!
//! One [`Alarm`] serves all clocks.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use outrigger_config::model::{Listener, ListenerTimeouts};
use outrigger_filters::context::Alarm;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::{arrival::before, client::Client, io::ClientIo, shared::SharedIo};
use crate::{edge, respond};

/// How long an idle connection keeps its buffers.
const PARK_AFTER: Duration = Duration::from_millis(500);

/// How long an idle connection that is asked to end may still bring one more request. A request that crosses our
/// close would be lost without it.
pub(crate) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How long, and for how many bytes, a closing connection is still read, so that the peer sees our answer and not
/// a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Serves requests until one side ends the connection.
pub(crate) async fn serve(client: Rc<Client>, mut io: ClientIo) {
    loop {
        let (end, rest) = Box::pin(serve_busy(&client, io)).await;
        io = rest;
        // What comes seldom, or last, is boxed: an idle connection would have the room for it all its life.
        match end {
            End::Parked if io.has_front() => client.head_began(),
            End::Parked => {
                if !wait_idle(&client, &mut io).await {
                    return io.say_goodbye();
                }
            }
            End::Closed => return io.say_goodbye(),
            End::Broken | End::SlowRead => return,
            End::Answered => return Box::pin(linger(io)).await,
            End::SlowHead => return Box::pin(refuse_slow_head(&client, io)).await,
            End::Tunnel => {
                if let Some(tunnel) = client.take_tunnel() {
                    Box::pin(tunnel.run(io)).await;
                }
                return;
            }
        }
    }
}

/// Answers 408 to a head that did not come in time.
pub(crate) async fn refuse_slow_head(client: &Rc<Client>, mut io: ClientIo) {
    edge::refuse_unparsed(client, respond::SLOW_HEAD);
    let _ = timeout(LINGER, io.write_all(respond::SLOW_HEAD.bytes)).await;
    linger(io).await;
}

/// How a stretch of requests ended.
enum End {
    /// Idle for a while, nothing half read.
    Parked,
    /// Nothing more to do.
    Closed,
    /// In the middle of something.
    Broken,
    /// An answer went out while the peer may still be sending.
    Answered,
    /// A head did not come in time.
    SlowHead,
    /// The client takes nothing.
    SlowRead,
    /// The answer was a 101.
    Tunnel,
}

async fn serve_busy(client: &Rc<Client>, io: ClientIo) -> (End, ClientIo) {
    let (view, id) = client.listener.current(&client.worker);
    let listener = view.config().listener(id);
    let mut clocks = Clocks::new(client, listener.timeouts.clone());
    let builder = builder(listener);
    drop(view);
    let service = {
        let client = Rc::clone(client);
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let answer = edge::handle(&client, request);
            debug_assert!(size_of_val(&answer) <= 256, "every request copies this future");
            answer
        })
    };
    let shared = SharedIo::new(io);
    let mut connection = builder.serve_connection(TokioIo::new(shared.clone()), service);
    let end = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
        Poll::Ready(result) => Poll::Ready(ended(client, result)),
        Poll::Pending if client.is_answered() && shared.poll_gone(cx).is_ready() => Poll::Ready(End::Broken),
        Poll::Pending => clocks.poll(cx),
    })
    .await;
    let parts = connection.into_parts();
    drop(parts.io);
    let mut io = shared.into_inner().expect("the other share was hyper's");
    io.put_back(parts.read_buf);
    // Requests behind the last one that is answered: closing over them would reset the answer away.
    let end = if matches!(end, End::Closed | End::Broken) && io.has_front() { End::Answered } else { end };
    (end, io)
}

fn builder(listener: &Listener) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let limits = &listener.limits;
    // hyper's own limit is 100 fields; naming it costs an allocation for every request.
    if limits.headers != 100 {
        builder.max_headers(limits.headers);
    }
    builder.max_buf_size(limits.header_bytes).max_header_size(limits.header_bytes).header_read_timeout(None);
    // That is: hyper does not listen for the client's end during an answer; see `shared`.
    builder.half_close(true);
    builder
}

fn ended(client: &Rc<Client>, result: hyper::Result<()>) -> End {
    match result {
        Ok(()) if client.has_tunnel() => End::Tunnel,
        Ok(()) if client.left_unread() => End::Answered,
        Ok(()) => End::Closed,
        Err(error) if error.is_parse() => {
            let refusal =
                if error.is_parse_too_large() { respond::HTTP1_TOO_LARGE } else { respond::HTTP1_PARSE };
            edge::refuse_unparsed(client, refusal);
            End::Answered
        }
        Err(error) => {
            tracing::debug!(%error, "client connection failed");
            End::Broken
        }
    }
}

/// Waits, without buffers, for the next request; `false` when none came in time.
async fn wait_idle(client: &Client, io: &mut ClientIo) -> bool {
    drop(client.alarm.take());
    let mut ending_since = None;
    loop {
        let (view, id) = client.listener.current(&client.worker);
        let idle = view.config().listener(id).timeouts.idle;
        drop(view);
        let deadline = match client.is_ending() {
            // Counted from now, however long it has been idle: a request may be on its way.
            true => Some(*ending_since.get_or_insert_with(Instant::now) + LAST_CHANCE),
            false => idle.map(|idle| client.idle_since() + idle),
        };
        match before(deadline, super::or_ending(client, |cx| io.poll_readable(cx))).await {
            Some(Some(result)) => return result.is_ok(),
            Some(None) => {} // asked to end: once more, with a shorter limit
            None => return false,
        }
    }
}

/// Ends our side and reads what the peer still sends, within bounds.
pub(super) async fn linger(mut io: ClientIo) {
    let mut left = LINGER_BYTES;
    let mut buffer = vec![0; 16 * 1024];
    let _ = timeout(LINGER, async {
        let _ = io.shutdown().await; // under TLS the peer must take its word
        while let Ok(read @ 1..) = io.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    })
    .await;
}

/// The clocks of one connection.
struct Clocks<'a> {
    client: &'a Client,
    timeouts: ListenerTimeouts,
    alarm: Alarm,
    head_since: Option<Instant>,
}

impl<'a> Clocks<'a> {
    fn new(client: &'a Client, timeouts: ListenerTimeouts) -> Self {
        Self { client, timeouts, alarm: Alarm::default(), head_since: None }
    }

    /// Ready when one has run out.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Some((deadline, end)) = self.next_deadline() else { return Poll::Pending };
        ready!(self.alarm.poll(deadline, cx));
        if matches!(end, End::SlowRead) {
            self.client.reads_too_slowly();
        }
        Poll::Ready(end)
    }

    fn next_deadline(&mut self) -> Option<(Instant, End)> {
        if let Some(stuck) = self.client.watch.stuck_since() {
            return self.timeouts.body_idle.map(|limit| (stuck + limit, End::SlowRead));
        }
        if self.client.requests() > 0 {
            self.head_since = None;
            return None;
        }
        if self.client.is_in_head() {
            let since = *self.head_since.get_or_insert_with(Instant::now);
            return self.timeouts.request_headers.map(|limit| (since + limit, End::SlowHead));
        }
        self.head_since = None;
        Some((self.client.idle_since() + PARK_AFTER, End::Parked))
    }
}
