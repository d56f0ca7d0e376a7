//! The retry budget over all routes and workers: a share of the requests, and a minimum per second.
//!
//! So a failing upstream gets at most 1.2 times its load (by default) and not `attempts` times.
//! Requests earn, retries spend. The unspent budget accumulates up to [`RESERVE`], so that an
//! endpoint that dies with many requests in flight does not fail them; the minimum of each second
//! does not accumulate.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use outrigger_config::model::RetryBudget;
use tokio::time::Instant;

/// The cost of one retry, in the unit that requests earn.
const RETRY: u64 = 1_000_000;

/// The most that can accumulate: as many requests as are in flight at a time in a busy sidecar. A
/// fixed number, and not a share of the last seconds, so that an outage after a long good time does
/// not begin with a flood of retries.
pub(super) const RESERVE: u64 = 100 * RETRY;

/// The budget of one upstream; all workers share it without a lock.
#[derive(Debug)]
pub struct Budget {
    /// Earned by each request.
    earns: u64,
    earned: AtomicU64,
    /// The most that can accumulate.
    reserve: u64,
    minimum: Option<Minimum>,
}

/// A minimum per second: retries take evenly spaced slots, at most one second ahead.
#[derive(Debug)]
struct Minimum {
    spacing: u64,
    start: Instant,
    /// Nanoseconds from `start` to the next slot.
    next: AtomicU64,
}

impl Budget {
    /// An empty budget; its minimum counts from `now`.
    pub fn new(budget: RetryBudget, now: Instant) -> Self {
        let earns = u64::from(budget.percent.per_million());
        let spacing = Duration::from_secs(1).checked_div(budget.min_per_second);
        Self {
            earns,
            earned: AtomicU64::new(0),
            reserve: if earns == 0 { 0 } else { RESERVE },
            minimum: spacing.map(|spacing| Minimum {
                spacing: spacing.as_nanos() as u64,
                start: now,
                next: AtomicU64::new(0),
            }),
        }
    }

    /// Records the first attempt of a request. With a full reserve, which is the usual case,
    /// nothing is written.
    pub fn earn(&self) {
        if self.earned.load(Relaxed) < self.reserve {
            self.earned.fetch_add(self.earns, Relaxed); // concurrent workers may exceed the reserve slightly
        }
    }

    /// Takes one retry from the budget; `false` if it is empty.
    pub fn spend(&self, now: Instant) -> bool {
        self.minimum
            .as_ref()
            .is_some_and(|minimum| minimum.take(now))
            || self
                .earned
                .fetch_update(Relaxed, Relaxed, |earned| earned.checked_sub(RETRY))
                .is_ok()
    }
}

impl Minimum {
    fn take(&self, now: Instant) -> bool {
        const SECOND: u64 = 1_000_000_000;
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        let place =
            |next: u64| Some(next.max(now) + self.spacing).filter(|next| *next <= now + SECOND);
        self.next.fetch_update(Relaxed, Relaxed, place).is_ok()
    }
}
