//! One client connection as the steps of its requests see it.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::HeaderValue;
use outrigger_filters::identity::Identity;
use tokio::time::Instant;

use super::{ListenerLocal, Permit, io::Watch, tunnel::Tunnel};
use crate::worker::{ConnectionGuard, Worker};

/// One client connection.
pub(crate) struct Client {
    /// The worker it lives on.
    pub worker: Rc<Worker>,
    /// The listener it came through.
    pub listener: Rc<ListenerLocal>,
    /// The peer; IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The peer as a header value, for every request that is not forwarded by somebody trusted.
    pub peer_value: HeaderValue,
    /// Who the client is by its verified certificate.
    pub identity: Option<Arc<Identity>>,
    /// What the socket tells.
    pub watch: Rc<Watch>,
    opened: Instant,
    requests: Cell<usize>,
    /// A request has been read to its last byte, and its answer has not been given to its last byte.
    answered: Cell<bool>,
    /// Bytes read when the last request ended; other bytes are the beginning of a head.
    read_when_idle: Cell<u64>,
    /// The last request's body was not read to its end.
    left_unread: Cell<bool>,
    /// When the last request ended, or the connection began.
    idle_since: Cell<Instant>,
    /// The connection must not be used for another request.
    must_close: Cell<bool>,
    /// HTTP/2 requests that were accepted and whose task did not run yet.
    waiting: Cell<u64>,
    /// HTTP/2 streams reset for a reason that has its own line in the log.
    own_resets: Cell<u64>,
    /// What a 101 leaves behind.
    tunnel: RefCell<Option<Tunnel>>,
    _permit: Permit,
    _counted: ConnectionGuard,
}

impl Client {
    /// A connection that was just accepted.
    pub(crate) fn new(worker: Rc<Worker>, listener: Rc<ListenerLocal>, permit: Permit, peer: IpAddr) -> Self {
        let opened = Instant::now();
        listener.shared.counters.open.fetch_add(1, Relaxed);
        Self {
            _counted: worker.connection(),
            worker,
            listener,
            peer,
            peer_value: HeaderValue::try_from(peer.to_string()).expect("an IP address is ASCII"),
            identity: None,
            watch: Rc::default(),
            opened,
            requests: Cell::new(0),
            answered: Cell::new(false),
            read_when_idle: Cell::new(0),
            left_unread: Cell::new(false),
            idle_since: Cell::new(opened),
            must_close: Cell::new(false),
            waiting: Cell::new(0),
            own_resets: Cell::new(0),
            tunnel: RefCell::default(),
            _permit: permit,
        }
    }

    /// A request begins.
    pub(crate) fn begin_request(&self) {
        self.requests.set(self.requests.get() + 1);
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.left_unread.set(false);
    }

    /// A request was read to its last byte.
    pub(crate) fn request_read(&self) {
        self.answered.set(true);
    }

    /// A request has ended, with the last byte of its answer.
    pub(crate) fn end_request(&self, now: Instant) {
        self.requests.set(self.requests.get() - 1);
        self.answered.set(false);
        self.idle_since.set(now);
        self.read_when_idle.set(self.watch.bytes_read());
    }

    /// Whether a request head has begun and is not complete. Only meaningful between requests.
    pub(crate) fn is_in_head(&self) -> bool {
        self.watch.bytes_read() != self.read_when_idle.get()
    }

    /// What was read already is the beginning of a head.
    pub(crate) fn head_began(&self) {
        self.read_when_idle.set(u64::MAX);
    }

    /// The request's body was given up before its end.
    pub(crate) fn leave_unread(&self) {
        self.left_unread.set(true);
    }

    /// Whether the peer may still be sending a body that nobody reads.
    pub(crate) fn left_unread(&self) -> bool {
        self.left_unread.get()
    }

    /// An HTTP/2 request was accepted; its own task begins it.
    pub(crate) fn accept_stream(&self) {
        self.waiting.set(self.waiting.get() + 1);
    }

    /// An HTTP/2 stream is reset as malformed, and its request says so in log and metrics.
    pub(crate) fn reset_by_us(&self) {
        self.own_resets.set(self.own_resets.get() + 1);
    }

    /// Streams reset as malformed that no request of ours accounts for, nor can still account for.
    pub(crate) fn unexplained_resets(&self) -> u64 {
        let explained = self.own_resets.get() + self.waiting.get() + self.requests.get() as u64;
        self.watch.malformed_streams().saturating_sub(explained)
    }

    /// Whether the one request of an HTTP/1.1 connection is being answered, so that nobody reads for now.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.get()
    }

    /// Requests that have not ended.
    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// When the last request ended, or the connection began.
    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// Whether the next answer must be the last: the listener ends, the connection is old, or a request left it in a
    /// state that cannot be trusted.
    pub(crate) fn is_ending(&self) -> bool {
        self.must_close.get() || self.listener.is_ending() || self.is_old()
    }

    fn is_old(&self) -> bool {
        self.end_of_age().is_some_and(|end| end <= Instant::now())
    }

    /// Makes the next answer the last.
    pub(crate) fn close_after_answer(&self) {
        self.must_close.set(true);
    }

    /// Leaves the other end of an upgraded connection for the connection task.
    pub(crate) fn upgrade(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Whether a 101 left something behind.
    pub(crate) fn has_tunnel(&self) -> bool {
        self.tunnel.borrow().is_some()
    }

    /// When the connection is asked to end for its age.
    pub(crate) fn end_of_age(&self) -> Option<Instant> {
        let (view, id) = self.listener.current(&self.worker);
        view.config().listener(id).timeouts.connection_age.map(|age| self.opened + age)
    }

    /// Takes what a 101 left behind.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.listener.shared.counters.open.fetch_sub(1, Relaxed);
    }
}
