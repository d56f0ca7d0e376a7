//! The accept loop of one worker on one listener.
//!
//! When the limit on connections is reached it waits instead of refusing: the kernel's queue fills and clients see a
//! slow connect, not an error. When the listener ends, what the kernel has queued is still accepted, so that no
//! client that was already connected is reset.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    time::sleep,
};

use super::{ListenerLocal, arrival::Arrival};
use crate::worker::Worker;

/// Pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts on `socket` until the listener is asked to stop.
pub(crate) async fn run(worker: Rc<Worker>, listener: Rc<ListenerLocal>, socket: StdListener) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(listener = %listener.shared.name, %error, "cannot accept"),
    };
    let mut stopped = pin!(listener.stop.notified());
    loop {
        let next = select! {
            biased;
            () = &mut stopped => break,
            next = next(&worker, &listener, &socket) => next,
        };
        match next {
            Ok((stream, peer)) => begin(&worker, &listener, stream, peer),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(listener = %listener.shared.name, %error, "accept failed");
                sleep(PAUSE).await;
            }
        }
    }
    tokio::task::yield_now().await; // lets the runtime hear of connections that the kernel already announced
    accept_queued(&worker, &listener, &socket);
}

async fn next(
    worker: &Worker,
    listener: &ListenerLocal,
    socket: &TcpListener,
) -> io::Result<(TcpStream, SocketAddr)> {
    listener.shared.room(|| connection_limit(worker, listener)).await;
    socket.accept().await
}

fn connection_limit(worker: &Worker, listener: &ListenerLocal) -> usize {
    let (view, id) = listener.current(worker);
    view.config().listener(id).limits.connections.unwrap_or(listener.shared.default_connections)
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
        debug_assert!(size_of_val(&connection) <= 2048, "an idle connection costs this much");
        tokio::task::spawn_local(connection);
    }
}
