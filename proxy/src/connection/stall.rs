//! What the clocks of a connection look at: whether its peer takes anything, and when it is cut.

use std::{cell::Cell, task::Poll};

use tokio::time::Instant;

/// What the connection task watches.
#[derive(Default)]
pub(crate) struct Watch {
    cut_at: Cell<Option<Instant>>,
    stuck_since: Cell<Option<Instant>>,
}

impl Watch {
    /// When the connection is dropped with what is in flight on it.
    pub(crate) fn cut_at(&self) -> Option<Instant> {
        self.cut_at.get()
    }

    /// Has the connection dropped at `end`; the first time that is named stays.
    pub(crate) fn cut_by(&self, end: Instant) {
        self.cut_at.set(self.cut_at.get().or(Some(end)));
    }

    /// Since when the peer has taken none of what is to be written.
    pub(crate) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since.get()
    }

    /// Notes how a write ended.
    pub(super) fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (&result, self.stuck_since.get()) {
            (Poll::Ready(_), Some(_)) => self.stuck_since.set(None),
            (Poll::Pending, None) => self.stuck_since.set(Some(Instant::now())),
            _ => {}
        }
        result
    }
}
