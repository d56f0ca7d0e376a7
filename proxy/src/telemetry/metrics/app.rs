//! Whether the app is up, since when, and how often it came back.
//!
//! It is up when it is ready as `/readyz` says. That is known when `/readyz` or `/metrics` is asked for, and not in between.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime},
};

use super::lock;

/// What is known of the app.
#[derive(Default)]
pub(crate) struct AppUp(Mutex<Known>);

#[derive(Default, Clone, Copy)]
struct Known {
    up: Option<bool>,
    /// When the first good answer after the last bad one came.
    since: Option<SystemTime>,
    recoveries: u64,
}

/// The same for a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shown {
    pub(super) up: bool,
    /// Since 1970, while it is up.
    pub(super) since: Option<Duration>,
    pub(super) recoveries: u64,
}

impl AppUp {
    /// The app was asked.
    pub(crate) fn observe(&self, up: bool, now: SystemTime) {
        let mut known = lock(&self.0);
        if up && known.up != Some(true) {
            // The first good answer of all is no recovery.
            known.recoveries += u64::from(known.up.is_some() && known.since.is_some());
            known.since = Some(now);
        }
        known.up = Some(up);
    }

    /// There is no app any more.
    pub(crate) fn forget(&self) {
        *lock(&self.0) = Known::default();
    }

    /// What is shown; nothing before the first answer.
    pub(super) fn shown(&self) -> Option<Shown> {
        let known = *lock(&self.0);
        let up = known.up?;
        let since = known.since.filter(|_| up);
        Some(Shown {
            up,
            since: since.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()),
            recoveries: known.recoveries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_success_begins_and_each_later_one_after_a_failure_is_a_recovery() {
        let app = AppUp::default();
        assert_eq!(app.shown(), None);
        // Each second one answer; since when it is up, and recoveries.
        for (second, up, since, recoveries) in [
            (1, false, None, 0), // the app starts after its sidecar
            (2, true, Some(2), 0),
            (3, true, Some(2), 0),
            (4, false, None, 0),
            (5, true, Some(5), 1),
            (6, false, None, 1),
            (7, false, None, 1),
            (8, true, Some(8), 2),
        ] {
            app.observe(up, SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let expected = Shown {
                up,
                since: since.map(Duration::from_secs),
                recoveries,
            };
            assert_eq!(app.shown(), Some(expected), "second {second}");
        }
        app.forget();
        assert_eq!(app.shown(), None);
    }
}
