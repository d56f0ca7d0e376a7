//! HTTP/2 towards the client, prior knowledge or (with TLS) ALPN.
//!
//! Limits are set explicitly (`docs/security.md` 17). A connection without streams for the idle timeout, one that is too
//! old, and one whose listener ends are asked to end by GOAWAY; one that takes nothing of what we write is dropped,
//! and so is a stream ([`super::stall`]).
//!
//! h2 refuses malformed heads by itself and tells nobody. They are counted by what is written: resets with
//! PROTOCOL_ERROR that no request accounts for.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use http::Request;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::TokioIo;
use outrigger_config::model::{Listener, ListenerTimeouts};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{client::Client, http1::LAST_CHANCE, io::ClientIo, stall::StreamExecutor};
use crate::{edge, respond};

/// What a client may send before we answer (`docs/security.md`, "Limits").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes of one stream's answer that are buffered while the client takes none.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve(client: Rc<Client>, mut io: ClientIo) {
    io.meter_frames();
    let mut told = 0;
    let (view, id) = client.listener.current(&client.worker);
    let listener = view.config().listener(id);
    let mut clocks = Clocks::new(&client, listener.timeouts.clone());
    let builder = builder(listener);
    drop(view);
    let service = {
        let client = Rc::clone(&client);
        hyper::service::service_fn(move |request: Request<Incoming>| {
            client.accept_stream();
            edge::handle(Rc::clone(&client), request)
        })
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    poll_fn(|cx| {
        loop {
            let polled = connection.as_mut().poll(cx);
            tell_resets(&client, &mut told);
            if let Poll::Ready(result) = polled {
                ended(&client, result);
                return Poll::Ready(());
            }
            match clocks.poll(cx) {
                Poll::Ready(Due::GoAway) => connection.as_mut().graceful_shutdown(),
                Poll::Ready(Due::Drop) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

fn builder(listener: &Listener) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor { limit: listener.timeouts.body_idle });
    builder
        .max_concurrent_streams(listener.limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(header_list_size(listener.limits.header_bytes))
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Counts and logs the streams that h2 refused before they were requests.
fn tell_resets(client: &Rc<Client>, told: &mut u64) {
    while client.unexplained_resets() > *told {
        *told += 1;
        edge::refuse_unparsed(client, respond::HTTP2_PROTOCOL);
    }
}

/// h2 refuses a larger head by resetting the stream as if it might be sent again, unlogged, and counts 32 bytes more for
/// each field than we do. With this room most of what is too large reaches the edge, which answers 431.
fn header_list_size(limit: usize) -> u32 {
    u32::try_from(limit.saturating_mul(2)).unwrap_or(u32::MAX)
}

fn ended(client: &Rc<Client>, result: hyper::Result<()>) {
    let Err(error) = result else { return };
    tracing::debug!(%error, "client connection failed");
    if respond::is_protocol_error(&error) {
        edge::refuse_unparsed(client, respond::HTTP2_PROTOCOL);
    }
}

enum Due {
    GoAway,
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
            (Some(since), _) => quiet.then(|| (since.max(self.client.idle_since()) + LAST_CHANCE, Due::Drop)),
            (None, Some(idle)) => quiet.then(|| (self.client.idle_since() + idle, Due::GoAway)),
            (None, None) => None,
        };
        let age = self.client.end_of_age().filter(|_| self.ending.is_none()).map(|end| (end, Due::GoAway));
        let stuck = stuck.map(|(since, limit)| (since + limit, Due::Drop));
        [stuck, idle, age].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
