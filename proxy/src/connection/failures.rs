//! Accepts of a listener that failed.

use std::sync::{Mutex, PoisonError};

/// How many accepts failed since that was told last; `None` before the first, and after a while without any.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Option<u64>>);

impl Failures {
    /// One more; whether it is the first.
    pub(crate) fn count(&self) -> bool {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = Some(count.map_or(0, |count| count + 1));
        *count == Some(0)
    }

    /// Those since the last time; `None` when there were none, and the next one is the first again.
    pub(crate) fn take(&self) -> Option<u64> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = count.filter(|count| *count > 0);
        *count = taken.map(|_| 0);
        taken
    }
}
