//! State for the timeouts of a connection: whether its peer reads, and when it is cut.

use std::{cell::Cell, task::Poll};

use tokio::time::Instant;

/// Shared by the socket and the connection task.
#[derive(Default)]
pub(crate) struct Watch {
    cut_at: Cell<Option<Instant>>,
    stuck_since: Cell<Option<Instant>>,
}

impl Watch {
    /// When the connection is cut together with its requests in flight.
    pub(crate) fn cut_at(&self) -> Option<Instant> {
        self.cut_at.get()
    }

    /// Cuts the connection at `end`; a time that is already set stays.
    pub(crate) fn cut_by(&self, end: Instant) {
        self.cut_at.set(self.cut_at.get().or(Some(end)));
    }

    /// Since when the peer has accepted no byte of pending writes.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since.get()
    }

    /// Notes the result of a write.
    pub(super) fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (&result, self.stuck_since.get()) {
            (Poll::Ready(_), Some(_)) => self.stuck_since.set(None),
            (Poll::Pending, None) => self.stuck_since.set(Some(Instant::now())),
            _ => {}
        }
        result
    }
}
