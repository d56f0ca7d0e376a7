//! When a name was last looked up, for whoever looks at the state of the proxy.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The last lookup of a name. Written and read on the control thread alone, so that its lock keeps nobody waiting.
#[derive(Default)]
pub(crate) struct LastLookup(Mutex<Last>);

/// What became of it.
#[derive(Default, Clone)]
pub(crate) struct Last {
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
    pub(super) fn answered(&self, good: Duration) {
        self.lock().answer = Some((Instant::now(), good));
    }

    /// Nothing is missing of the answer.
    pub(super) fn complete(&self) {
        self.lock().failure = None;
    }

    /// None came, or not for each family.
    pub(super) fn failed(&self, why: String) {
        self.lock().failure = Some(why);
    }

    /// What is known of it.
    pub(crate) fn read(&self) -> Last {
        self.lock().clone()
    }
}
