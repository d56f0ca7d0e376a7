//! Connections that are opened, used once and kept open, to measure their cost at the peer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::failure::{Failure, FailureKind};
use super::schedule::Slot;
use super::turn::{Client, Lane, TimeLimit};

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

    fn tried(&self, successful: bool) {
        let counter = if successful { &self.open } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.held().is_some() {
            self.complete.send_replace(true);
        }
    }

    /// One connection closed at the end of the time.
    fn lost(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    async fn all_tried(&self) {
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

impl Lane {
    /// Sends one request and keeps its connection open until `time` has passed since the last one
    /// was opened.
    pub(super) async fn hold(&self, mut client: impl Client, number: u64, time: Duration) {
        let holding = &self.run.holding;
        let (slot, finished, outcome) = {
            // Never closed.
            let _turn = self.turnstile.acquire().await;
            let slot = Slot {
                intended: Instant::now(),
                measured: true,
                number,
            };
            let outcome = self.request(&mut client, &mut TimeLimit::new(), slot).await;
            (slot, Instant::now(), outcome)
        };
        let verified = outcome.as_ref().is_ok_and(|answer| answer.verdict.is_ok());
        holding.tried(verified);
        if !verified {
            self.enter(slot, finished, outcome);
            return;
        }
        let mut halt = self.halt.clone();
        tokio::select! {
            () = async { holding.all_tried().await; sleep(time).await } => {}
            // An error means that the report is not needed any more.
            _ = halt.wait_for(|halted| *halted) => {}
        }
        let outcome = if client.is_open(self).await {
            outcome
        } else {
            holding.lost();
            Err(Failure::new(
                FailureKind::Closed,
                "the peer closed a held connection",
            ))
        };
        self.enter(slot, finished, outcome);
    }
}
