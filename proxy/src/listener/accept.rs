//! The accept loop of one worker on one listener.
//!
//! At the limit on connections, those that have been idle longest are closed for a new one. While
//! all are busy, the new one waits instead of being rejected, and the kernel's queue fills behind
//! it: clients see a slow response, not an error. The same applies shortly before file descriptors
//! run out, since each request needs another one for its endpoint.
//!
//! When the listener closes, connections in the kernel's queue are still accepted, so that no
//! connected client gets a reset.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::AsRawFd,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    time::{sleep, timeout},
};

use super::{arrival::Arrival, open::Listeners};
use crate::{
    connection::{
        listener::{ListenerLocal, ListenerShared},
        seats::{Count, share},
    },
    telemetry::metrics::Limit,
    worker::Worker,
};

/// Pause after an accept that failed for lack of descriptors or memory, unless a connection is
/// closed before.
const PAUSE: Duration = Duration::from_millis(50);

/// Failed accepts are logged once per this interval.
const SILENCE: Duration = Duration::from_secs(10);

/// How many idle connections are closed at least when descriptors run out.
const SPARE: usize = 8;

/// How many descriptors are kept free, depending on the limit. A new connection with a high number
/// stays while older ones close, so up to 16 of these are in use until it is one of the oldest
/// ([`share`]).
const FEWEST_FREE: usize = 16 + SPARE;
const MOST_FREE: usize = 64;

/// Accepts on `socket` until the listener is closed.
pub(crate) async fn run(
    worker: Rc<Worker>,
    listeners: Rc<Listeners>,
    listener: Rc<ListenerLocal>,
    socket: StdListener,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            return tracing::error!(listener = %listener.shared.name, %error, "cannot accept");
        }
    };
    let descriptors = descriptor_threshold();
    let mut stopped = pin!(listener.stop.notified());
    loop {
        let next = select! {
            biased;
            () = &mut stopped => break,
            next = socket.accept() => next,
        };
        match next {
            Ok((stream, peer)) => {
                let stops = select! {
                    biased;
                    () = listener.shared.room(|| connection_limit(&worker, &listener)) => false,
                    () = &mut stopped => true,
                };
                let closed = listener.shared.closed.notified();
                // The kernel assigns the lowest free number.
                let spares = stream.as_raw_fd() >= descriptors && evict_for_descriptors(&listeners);
                begin(&worker, &listener, stream, peer);
                if stops {
                    break;
                }
                if spares {
                    // The next connection would take the place that is made for this one.
                    let _ = timeout(PAUSE, closed).await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let closed = listener.shared.closed.notified();
                accept_failed(&listener.shared, &error);
                if lacks_descriptors(&error) {
                    evict_for_descriptors(&listeners);
                }
                let _ = timeout(PAUSE, closed).await;
            }
        }
    }
    // Lets the runtime process readiness that the kernel already reported.
    tokio::task::yield_now().await;
    accept_queued(&worker, &listener, &socket);
}

/// The descriptor number from which on too few are left.
fn descriptor_threshold() -> i32 {
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let granted = usize::try_from(granted).unwrap_or(usize::MAX);
    let free = share(granted).clamp(FEWEST_FREE, MOST_FREE);
    i32::try_from(granted.saturating_sub(free)).unwrap_or(i32::MAX)
}

/// Closes the connections that have been idle longest, of all listeners, since descriptors are
/// shared by the process. `false` when all are busy.
fn evict_for_descriptors(listeners: &Listeners) -> bool {
    let listeners = listeners.all();
    if listeners
        .iter()
        .any(|one| one.shared.ledger().leaving() > 0)
    {
        return true;
    }
    let open: usize = listeners
        .iter()
        .map(|one| one.shared.open_connections())
        .sum();
    let most = share(open).max(SPARE);
    let mut idle: Vec<_> = listeners
        .iter()
        .flat_map(|one| one.shared.ledger().idle(ListenerShared::now()))
        .collect();
    idle.sort_unstable();
    let Some(until) = idle.get(..most).unwrap_or(&idle).last().copied() else {
        return false;
    };
    let count = Count {
        most,
        fresh: most,
        until,
    };
    let make_room = |one: &ListenerShared| {
        one.ledger()
            .make_room(Limit::Descriptors, count, ListenerShared::now())
    };
    listeners
        .iter()
        .filter(|one| make_room(&one.shared) > 0)
        .count()
        > 0
}

fn lacks_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|lacks| error.raw_os_error() == Some(lacks.raw_os_error()))
}

/// Logs a failed accept: the first one at once, further ones as one summary.
fn accept_failed(shared: &Arc<ListenerShared>, error: &io::Error) {
    if !shared.failures.count() {
        return;
    }
    tracing::warn!(listener = %shared.name, %error, "accept failed");
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        loop {
            sleep(SILENCE).await;
            let Some(times) = shared.failures.take() else {
                return;
            };
            tracing::warn!(listener = %shared.name, times, "accept failed repeatedly in the last 10 s");
        }
    });
}

fn connection_limit(worker: &Worker, listener: &ListenerLocal) -> usize {
    let (view, id) = listener.current(worker);
    view.config()
        .listener(id)
        .limits
        .connections
        .unwrap_or(listener.shared.default_connections)
}

fn accept_queued(worker: &Rc<Worker>, listener: &Rc<ListenerLocal>, socket: &TcpListener) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Ok((stream, peer))) = socket.poll_accept(&mut cx) {
        begin(worker, listener, stream, peer);
    }
}

fn begin(worker: &Rc<Worker>, listener: &Rc<ListenerLocal>, stream: TcpStream, peer: SocketAddr) {
    if let Some(arrival) = Arrival::new(worker, listener, peer) {
        let connection = arrival.live(stream);
        debug_assert!(
            size_of_val(&connection) <= 2048,
            "memory of an idle connection"
        );
        tokio::task::spawn_local(connection);
    }
}
