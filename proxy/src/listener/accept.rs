//! The accept loop of one worker on one listener.
//!
//! When the limit on connections is reached it waits instead of refusing: the kernel's queue fills and clients see a
//! slow connect, not an error. When the listener ends, what the kernel has queued is still accepted, so that no
//! client that was already connected is reset.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    ListenerLocal,
    client::{Client, Place},
    connection::{self, Spoken},
    handshake::{self, Parties, Shaken},
    io::{ClientIo, Watch, Wire},
};
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
    let mut permit = listener.shared.permit();
    let (view, id) = listener.current(worker);
    let model = view.config().listener(id);
    let address = peer.ip().to_canonical();
    let trusted = model.trusted_cidrs.iter().any(|range| range.contains(address));
    if !trusted && !permit.admit(address, model.limits.connections_per_address) {
        return worker.metrics.reject("limit.connections_per_address");
    }
    let counters = &listener.shared.counters;
    counters.accepted.fetch_add(1, Relaxed);
    let arrival = Arrival {
        worker: Rc::clone(worker),
        place: Place::new(worker, listener, permit),
        listener: Rc::clone(listener),
        peer: address,
        watch: Rc::default(),
    };
    tokio::task::spawn_local(arrival.live(stream));
}

/// A connection of which nothing is known but where it comes from.
struct Arrival {
    worker: Rc<Worker>,
    listener: Rc<ListenerLocal>,
    place: Place,
    peer: IpAddr,
    watch: Rc<Watch>,
}

impl Arrival {
    /// Serves it to its end, or until it is cut.
    async fn live(self, stream: TcpStream) {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let (listener, watch) = (Rc::clone(&self.listener), Rc::clone(&self.watch));
        let _wake_on_ending = listener.on_ending(waker);
        let mut serve = pin!(self.serve(stream));
        let mut cut: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if listener.is_cut() || serve.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match watch.cut_at() {
                Some(end) => cut.get_or_insert_with(|| Box::pin(sleep_until(end))).as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }

    async fn serve(self, stream: TcpStream) {
        let wire = Wire::new(stream, Rc::clone(&self.watch));
        let (view, id) = self.listener.current(&self.worker);
        let deadline = view.config().listener(id).timeouts.tls_handshake.map(|limit| Instant::now() + limit);
        let tls = view.tls(id).cloned();
        drop(view);
        let (io, secured, spoken) = match tls {
            None => (ClientIo::plain(wire), None, Spoken::Unknown),
            Some(tls) => {
                let parties = Parties { worker: &self.worker, listener: &self.listener, peer: self.peer };
                // Boxed: a connection is seldom in its handshake, and would have the room for it all its life.
                match Box::pin(handshake::shake(parties, &tls, wire, deadline)).await {
                    Some(Shaken { io, secured, spoken }) => (io, Some(secured), spoken),
                    None => return,
                }
            }
        };
        let client = Client::new(self.worker, self.place, self.peer, secured, self.watch);
        connection::serve(Rc::new(client), io, spoken).await;
    }
}
