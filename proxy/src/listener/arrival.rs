//! A connection from accept to its first byte of HTTP: the PROXY header and the TLS handshake.
//!
//! `timeouts.tlsHandshake` limits both together, counted from accept.

use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
};

use outrigger_config::model::Listener;
use outrigger_filters::reason::Reason;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    first::{First, before, first_byte},
    handshake::{self, Parties, TlsSession},
    protocol::{self, Alpn},
    proxy_protocol,
};
use crate::{
    connection::{
        client::{Client, Registration},
        io::{ClientIo, Wire},
        listener::ListenerLocal,
        permit::{Admission, Permit, Waiting},
        stall::Watch,
    },
    worker::Worker,
};

/// A connection of which only the address is known.
pub(super) struct Arrival {
    worker: Rc<Worker>,
    listener: Rc<ListenerLocal>,
    registration: Registration,
    peer: IpAddr,
    watch: Rc<Watch>,
    /// Waits until an evicted connection of the same address has closed.
    waiting: Option<Waiting>,
}

/// A client that has not sent a request yet.
struct Arrived {
    client: Rc<Client>,
    io: ClientIo,
    alpn: Alpn,
}

impl Arrival {
    /// A connection that was just accepted; `None` when it is rejected.
    pub(super) fn new(
        worker: &Rc<Worker>,
        listener: &Rc<ListenerLocal>,
        peer: SocketAddr,
    ) -> Option<Self> {
        let permit = Permit::new(&listener.shared);
        let mut arrival = Self {
            worker: Rc::clone(worker),
            registration: Registration::new(worker, listener, permit),
            listener: Rc::clone(listener),
            peer: peer.ip().to_canonical(),
            watch: Rc::default(),
            waiting: None,
        };
        let (view, id) = listener.current(worker);
        let model = view.config().listener(id);
        match model.proxy_protocol {
            // The peer is a trusted proxy, or else it could claim any address. The limit applies to
            // the address in its header.
            true if !is_trusted(model, arrival.peer) => {
                worker.metrics.reject(Reason::ProxyProtocolUntrusted);
                tracing::debug!(peer = %arrival.peer, "peer is not trusted to send a PROXY header");
                return None;
            }
            true => {}
            false => match arrival.admit(model, true) {
                Admission::Granted => {}
                Admission::Soon(waiting) => arrival.waiting = Some(waiting),
                Admission::Rejected => return None,
            },
        }
        listener.shared.counters.accepted.fetch_add(1, Relaxed);
        Some(arrival)
    }

    /// Counts the connection under its address. Counts a rejection when that address is at its
    /// limit and all its connections are busy.
    fn admit(&mut self, model: &Listener, new: bool) -> Admission {
        if is_trusted(model, self.peer) {
            return Admission::Granted;
        }
        let admission =
            self.registration
                .permit
                .admit(self.peer, model.limits.connections_per_address, new);
        if matches!(admission, Admission::Rejected) {
            self.refused();
        }
        admission
    }

    fn refused(&self) {
        self.worker
            .metrics
            .reject(Reason::LimitConnectionsPerAddress);
    }

    /// Waits for an evicted connection to close, if necessary; returns whether it is admitted.
    async fn admitted(&mut self) -> bool {
        let Some(mut waiting) = self.waiting.take() else {
            return true;
        };
        let deadline = Waiting::deadline();
        loop {
            if !waiting.over(deadline).await {
                self.refused();
                return false;
            }
            let (view, id) = self.listener.current(&self.worker);
            match self.admit(view.config().listener(id), false) {
                Admission::Granted => return true,
                Admission::Soon(again) => waiting = again,
                Admission::Rejected => return false,
            }
        }
    }

    /// Serves the connection to its end, or until it is cut.
    pub(super) async fn live(self, stream: TcpStream) {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let (listener, watch) = (Rc::clone(&self.listener), Rc::clone(&self.watch));
        self.registration.permit.set_task(waker.clone());
        let _wake_on_ending = listener.on_ending(waker);
        let mut serve = pin!(self.serve(stream));
        let mut cut: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if listener.is_cut() || serve.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match watch.cut_at() {
                Some(end) => cut
                    .get_or_insert_with(|| Box::pin(sleep_until(end)))
                    .as_mut()
                    .poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }

    async fn serve(self, stream: TcpStream) {
        let seat = Arc::clone(self.registration.permit.seat());
        let arrived = {
            let mut arrive = pin!(self.arrive(stream));
            // A connection without a request can be evicted without notice.
            poll_fn(|cx| match arrive.as_mut().poll(cx) {
                Poll::Pending if seat.is_evicted() => Poll::Ready(None),
                polled => polled,
            })
            .await
        };
        let Some(Arrived { client, io, alpn }) = arrived else {
            return;
        };
        let mut connection = pin!(protocol::serve(Rc::clone(&client), io, alpn));
        poll_fn(|cx| {
            client.check_trust();
            connection.as_mut().poll(cx)
        })
        .await;
    }

    /// `None`: the connection is closed.
    async fn arrive(mut self, mut stream: TcpStream) -> Option<Arrived> {
        let (view, id) = self.listener.current(&self.worker);
        let model = view.config().listener(id);
        let deadline = model
            .timeouts
            .tls_handshake
            .map(|limit| Instant::now() + limit);
        let has_header = model.proxy_protocol;
        drop(view);
        if self.waiting.is_some() && !Box::pin(self.admitted()).await {
            return None;
        }
        if has_header {
            Box::pin(self.read_proxy_header(&mut stream, deadline)).await?;
        }
        // The current view: a certificate may have been rotated since accept.
        let (view, id) = self.listener.current(&self.worker);
        let tls = view.tls(id).cloned();
        drop(view);
        let wire = Wire::new(stream, Rc::clone(&self.watch));
        let (io, secured, alpn) = match tls {
            None => (ClientIo::plain(wire), None, Alpn::Unknown),
            Some(tls) => {
                let parties = Parties {
                    worker: &self.worker,
                    listener: &self.listener,
                    peer: self.peer,
                };
                // Boxed: a connection is seldom in its handshake, and would carry the space for it
                // all its life.
                let TlsSession { io, secured, alpn } =
                    Box::pin(handshake::perform(parties, &tls, wire, deadline)).await?;
                (io, Some(secured), alpn)
            }
        };
        let client = Rc::new(Client::new(
            self.worker,
            self.registration,
            self.peer,
            secured,
            self.watch,
        ));
        Some(Arrived { client, io, alpn })
    }

    /// Reads the PROXY header; the address in it is the peer from now on. `None`: the connection is
    /// closed.
    async fn read_proxy_header(
        &mut self,
        stream: &mut TcpStream,
        deadline: Option<Instant>,
    ) -> Option<()> {
        let source = match first_byte(&self.listener, stream, deadline).await {
            First::Byte(_) => before(deadline, proxy_protocol::read(stream)).await,
            First::Nothing => return None,
            First::TooLate => None,
        };
        match source {
            Some(Ok(source)) => {
                self.peer = source.unwrap_or(self.peer);
                let (view, id) = self.listener.current(&self.worker);
                match self.admit(view.config().listener(id), true) {
                    Admission::Granted => Some(()),
                    Admission::Soon(waiting) => {
                        drop(view);
                        self.waiting = Some(waiting);
                        self.admitted().await.then_some(())
                    }
                    Admission::Rejected => None,
                }
            }
            Some(Err(error)) => {
                self.worker.metrics.reject(Reason::ProxyProtocolMalformed);
                tracing::debug!(peer = %self.peer, %error, "no PROXY header");
                None
            }
            None => {
                self.worker.metrics.reject(Reason::ProxyProtocolTimeout);
                None
            }
        }
    }
}

fn is_trusted(model: &Listener, address: IpAddr) -> bool {
    model
        .trusted_cidrs
        .iter()
        .any(|range| range.contains(address))
}
