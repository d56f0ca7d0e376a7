//! When a name was last looked up, for the status pages.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The last lookup of a name. Read and written on the control thread only, so no worker waits for
/// its lock.
#[derive(Default)]
pub struct LastLookup(Mutex<Last>);

/// The result of the last lookups of a name.
#[derive(Default, Clone)]
pub struct Last {
    /// When the last successful response arrived, and how long it is valid.
    pub answer: Option<(Instant, Duration)>,
    /// Failure since then, or the part that was missing from that response.
    pub failure: Option<String>,
}

impl LastLookup {
    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a successful response, which is valid for `good`.
    pub(crate) fn answered(&self, good: Duration) {
        self.lock().answer = Some((Instant::now(), good));
    }

    /// Notes that the response is complete.
    pub(crate) fn complete(&self) {
        self.lock().failure = None;
    }

    /// Notes a failed lookup, or one that lacks an address family.
    pub(crate) fn failed(&self, why: String) {
        self.lock().failure = Some(why);
    }

    /// A copy of the current state.
    pub fn read(&self) -> Last {
        self.lock().clone()
    }
}
