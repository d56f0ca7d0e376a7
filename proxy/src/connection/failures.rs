//! Counts failed accepts of a listener, for the log.

use std::sync::{Mutex, PoisonError};

/// Failed accepts since the last log line; `None` before the first, and after an interval without
/// any.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Option<u64>>);

impl Failures {
    /// Counts one more; returns whether it is the first.
    pub(crate) fn count(&self) -> bool {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = Some(count.map_or(0, |count| count + 1));
        *count == Some(0)
    }

    /// The failures since the last call; `None` when there were none, so that the next one is the
    /// first again.
    pub(crate) fn take(&self) -> Option<u64> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = count.filter(|count| *count > 0);
        *count = taken.map(|_| 0);
        taken
    }
}
