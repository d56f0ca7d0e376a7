//! Connections that are opened, used once and kept open, to measure their cost at the peer.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, watch};

/// Connections that a thread opens at a time: more than the peer's accept queue would be delayed by
/// 1 s.
const OPENED_AT_A_TIME: usize = 64;

/// Progress of the connections of a run.
#[derive(Debug)]
pub(super) struct Holding {
    wanted: usize,
    open: AtomicUsize,
    failed: AtomicUsize,
    complete: watch::Sender<bool>,
}

/// All connections of a run that could be opened are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Connections that are open and have carried a request.
    pub open: usize,
    /// Connections that could not be opened.
    pub failed: usize,
}

impl Holding {
    pub(super) fn new(wanted: usize) -> Self {
        let (open, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self {
            wanted,
            open,
            failed,
            complete: watch::Sender::new(false),
        }
    }

    /// The result once all have been tried.
    pub(super) fn held(&self) -> Option<Held> {
        let held = Held {
            open: self.open.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        };
        (held.open + held.failed >= self.wanted).then_some(held)
    }

    /// One connection was tried.
    pub(super) fn tried(&self, successful: bool) {
        let counter = if successful { &self.open } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.held().is_some() {
            self.complete.send_replace(true);
        }
    }

    /// One connection closed at the end of the time.
    pub(super) fn lost(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until all have been tried.
    pub(super) async fn all_tried(&self) {
        // The sender lives as long as `self`.
        let _ = self
            .complete
            .subscribe()
            .wait_for(|complete| *complete)
            .await;
    }
}

/// Limits the concurrent opens of a thread.
pub(super) fn turnstile() -> Semaphore {
    Semaphore::new(OPENED_AT_A_TIME)
}
