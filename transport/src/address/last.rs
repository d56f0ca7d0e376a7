//! When a name was last looked up, for the pages that show the state of the process.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The last lookup of a name. Written and read on the control thread alone, so that no worker waits for its lock.
#[derive(Default)]
pub struct LastLookup(Mutex<Last>);

/// What became of it.
#[derive(Default, Clone)]
pub struct Last {
    /// When an answer last came, and for how long that is good.
    pub answer: Option<(Instant, Duration)>,
    /// What has failed since then, or did not come with it.
    pub failure: Option<String>,
}

impl LastLookup {
    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came, and is good for so long.
    pub(crate) fn answered(&self, good: Duration) {
        self.lock().answer = Some((Instant::now(), good));
    }

    /// Nothing is missing of the answer.
    pub(crate) fn complete(&self) {
        self.lock().failure = None;
    }

    /// None came, or not for each family.
    pub(crate) fn failed(&self, why: String) {
        self.lock().failure = Some(why);
    }

    /// What is known of it.
    pub fn read(&self) -> Last {
        self.lock().clone()
    }
}
