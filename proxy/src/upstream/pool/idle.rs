//! Idle HTTP/1.1 connections, most recently used first, and their idle timeout.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

use tokio::time::Instant;

use crate::upstream::http1::Connection;

/// Lower bound of the adaptive idle timeout.
const SHORTEST_IDLE: Duration = Duration::from_millis(100);

/// The idle connections of a pool.
pub(super) struct IdleConnections {
    /// Oldest in front.
    connections: RefCell<VecDeque<Idle>>,
    /// At most `longest`; lower where the endpoint closes earlier.
    timeout: Cell<Duration>,
    longest: Duration,
}

/// An idle connection.
pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    pub(super) since: Instant,
}

impl Idle {
    /// Idle from now on.
    pub(super) fn new(connection: Box<Connection>) -> Self {
        Self {
            connection,
            since: Instant::now(),
        }
    }

    /// Closes it in order.
    pub(super) fn end(mut self) {
        self.connection.close_notify();
    }
}

impl IdleConnections {
    /// No connections, with an idle timeout of `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            connections: RefCell::default(),
            timeout: Cell::new(longest),
            longest,
        }
    }

    /// Keeps a connection.
    pub(super) fn put(&self, idle: Idle) {
        self.connections.borrow_mut().push_back(idle);
    }

    /// Takes the most recently used connection.
    pub(super) fn take_newest(&self) -> Option<Idle> {
        self.connections.borrow_mut().pop_back()
    }

    /// Takes the connection that has been idle longest.
    pub(super) fn take_oldest(&self) -> Option<Idle> {
        self.connections.borrow_mut().pop_front()
    }

    /// Closes all connections.
    pub(super) fn end_all(&self) {
        self.connections.borrow_mut().drain(..).for_each(Idle::end);
    }

    /// The endpoint closed a connection that was idle for this long. Reuse would race with its
    /// close, so the timeout goes well below that.
    pub(super) fn closed_by_peer_after(&self, idle: Duration) {
        let lowered = (idle / 2).max(SHORTEST_IDLE);
        if lowered < self.timeout.get() {
            self.timeout.set(lowered);
        }
    }

    /// Closes expired connections; returns the time of the next expiry, if any.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.connections.borrow_mut();
        while let Some(oldest) = idle.front_mut() {
            let expiry = oldest.since + self.timeout.get();
            if expiry > now {
                return Some(expiry);
            }
            if oldest.connection.is_quiet() {
                // Still open after the whole timeout: a lowered timeout may recover.
                let raised = self.timeout.get() + self.timeout.get() / 4;
                self.timeout.set(raised.min(self.longest));
            }
            idle.pop_front().into_iter().for_each(Idle::end);
        }
        None
    }
}
