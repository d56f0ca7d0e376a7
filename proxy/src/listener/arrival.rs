//! A connection before it is a client: where it comes from, and its TLS handshake.
//!
//! Both have `timeouts.tlsHandshake` together, counted from accept.

use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    task::Poll,
};

use outrigger_config::model::Listener;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

use super::{
    ListenerLocal,
    client::{Client, Place},
    connection::{self, Spoken},
    handshake::{self, Parties, Shaken},
    http1::LAST_CHANCE,
    io::{ClientIo, Watch, Wire},
    proxy_protocol,
};
use crate::worker::Worker;

/// A connection of which nothing is known but where it comes from.
pub(super) struct Arrival {
    worker: Rc<Worker>,
    listener: Rc<ListenerLocal>,
    place: Place,
    peer: IpAddr,
    watch: Rc<Watch>,
}

impl Arrival {
    /// A connection that was just accepted; `None` for one that is not let in.
    pub(super) fn new(worker: &Rc<Worker>, listener: &Rc<ListenerLocal>, peer: SocketAddr) -> Option<Self> {
        let permit = listener.shared.permit();
        let mut arrival = Self {
            worker: Rc::clone(worker),
            place: Place::new(worker, listener, permit),
            listener: Rc::clone(listener),
            peer: peer.ip().to_canonical(),
            watch: Rc::default(),
        };
        let (view, id) = listener.current(worker);
        let model = view.config().listener(id);
        match model.proxy_protocol {
            // Whoever is not trusted could name anybody; the address that counts is in the header.
            true if !is_trusted(model, arrival.peer) => {
                worker.metrics.reject("proxy_protocol.untrusted");
                tracing::debug!(peer = %arrival.peer, "not a peer that may send a PROXY header");
                return None;
            }
            true => {}
            false if !arrival.admit(model) => return None,
            false => {}
        }
        listener.shared.counters.accepted.fetch_add(1, Relaxed);
        Some(arrival)
    }

    /// Counts the connection for its address; `false`, counted as well, when that one has too many.
    fn admit(&mut self, model: &Listener) -> bool {
        let limit = model.limits.connections_per_address;
        let admitted = is_trusted(model, self.peer) || self.place.permit.admit(self.peer, limit);
        if !admitted {
            self.worker.metrics.reject("limit.connections_per_address");
        }
        admitted
    }

    /// Serves it to its end, or until it is cut.
    pub(super) async fn live(self, stream: TcpStream) {
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

    async fn serve(mut self, mut stream: TcpStream) {
        let (view, id) = self.listener.current(&self.worker);
        let model = view.config().listener(id);
        let deadline = model.timeouts.tls_handshake.map(|limit| Instant::now() + limit);
        let has_header = model.proxy_protocol;
        drop(view);
        if has_header && Box::pin(self.proxied(&mut stream, deadline)).await.is_none() {
            return;
        }
        // The view of now: a certificate may have been rotated since.
        let (view, id) = self.listener.current(&self.worker);
        let tls = view.tls(id).cloned();
        drop(view);
        let wire = Wire::new(stream, Rc::clone(&self.watch));
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
        let client = Rc::new(Client::new(self.worker, self.place, self.peer, secured, self.watch));
        let mut connection = pin!(connection::serve(Rc::clone(&client), io, spoken));
        poll_fn(|cx| {
            client.hear();
            connection.as_mut().poll(cx)
        })
        .await;
    }

    /// Takes the PROXY header; whom it names is the peer from now on. `None`: the connection is closed.
    async fn proxied(&mut self, stream: &mut TcpStream, deadline: Option<Instant>) -> Option<()> {
        let source = match first_byte(&self.listener, stream, deadline).await {
            First::Byte(_) => before(deadline, proxy_protocol::read(stream)).await,
            First::Nothing => return None,
            First::TooLate => None,
        };
        match source {
            Some(Ok(source)) => {
                self.peer = source.unwrap_or(self.peer);
                let (view, id) = self.listener.current(&self.worker);
                self.admit(view.config().listener(id)).then_some(())
            }
            Some(Err(error)) => {
                self.worker.metrics.reject("proxy_protocol.malformed");
                tracing::debug!(peer = %self.peer, %error, "no PROXY header");
                None
            }
            None => {
                self.worker.metrics.reject("proxy_protocol.timeout");
                None
            }
        }
    }
}

fn is_trusted(model: &Listener, address: IpAddr) -> bool {
    model.trusted_cidrs.iter().any(|range| range.contains(address))
}

/// `None` when it is not done in time.
pub(super) async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// What came first.
pub(super) enum First {
    /// It is still to be read.
    Byte(u8),
    /// The client closed without a word, as health checks do, or is not waited for any more.
    Nothing,
    /// Nothing, in the time there was.
    TooLate,
}

/// Waits for the first byte, and leaves it there. No buffer is held meanwhile.
pub(super) async fn first_byte(
    listener: &ListenerLocal,
    stream: &TcpStream,
    mut deadline: Option<Instant>,
) -> First {
    let mut ending = false;
    loop {
        if listener.is_ending() && !ending {
            ending = true;
            deadline = Some(Instant::now() + LAST_CHANCE);
        }
        let mut byte = [0];
        let waited = {
            let mut peek = pin!(stream.peek(&mut byte));
            let peeked = poll_fn(|cx| match peek.as_mut().poll(cx) {
                Poll::Ready(peeked) => Poll::Ready(Some(peeked)),
                Poll::Pending if !ending && listener.is_ending() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            before(deadline, peeked).await
        };
        match waited {
            Some(Some(Ok(1..))) => return First::Byte(byte[0]),
            Some(Some(_)) => return First::Nothing,
            Some(None) => {} // asked to end: once more, with a short deadline
            None if ending => return First::Nothing,
            None => return First::TooLate,
        }
    }
}
