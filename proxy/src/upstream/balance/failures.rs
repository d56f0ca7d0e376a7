//! Recent failure rate of an endpoint.
//!
//! An endpoint that fails every request at once is always idle, so any policy that looks for idle
//! endpoints would prefer it. This rate notices it after its first failure, with or without outlier
//! detection, and limits it to its weighted share of the draws until it succeeds again.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Failure rate of 100 %.
const ALL: u32 = 1 << 16;

/// Each result has a weight of one eighth.
const SHARE: u32 = 8;

/// 6.25 %: one failure is remembered for six successes.
const FAILING: u32 = ALL / 16;

/// A moving average of failures.
#[derive(Debug, Default)]
pub(crate) struct Failures(AtomicU32);

impl Failures {
    /// Records the result of a request. Costs one plain load while there are no failures.
    pub(crate) fn record(&self, failed: bool) {
        let known = self.0.load(Relaxed);
        let next = known - known / SHARE + if failed { ALL / SHARE } else { 0 };
        // The division would never reach 0.
        let next = if !failed && next < SHARE {
            0
        } else {
            next.min(ALL)
        };
        if next != known {
            // Of two concurrent results one may be lost; a moving average tolerates that.
            self.0.store(next, Relaxed);
        }
    }

    /// Whether a considerable part of its last responses were failures.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.load(Relaxed) >= FAILING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_remembered_for_a_few_answers_and_many_for_longer() {
        let failures = Failures::default();
        let answers_after = |count| {
            (0..count).for_each(|_| failures.record(true));
            (0..1000)
                .find(|_| {
                    failures.record(false);
                    !failures.is_failing()
                })
                .unwrap()
        };
        let (one, many) = (answers_after(1), answers_after(1000));
        assert!(
            (4..=8).contains(&one) && (15..=30).contains(&many),
            "{one}, {many}"
        );
        (0..200).for_each(|_| failures.record(false));
        assert_eq!(failures.0.load(Relaxed), 0);
    }

    #[test]
    fn a_few_in_a_hundred_are_not_failing() {
        let failures = Failures::default();
        fastrand::seed(5);
        let mut failing = 0;
        for _ in 0..100_000 {
            failures.record(fastrand::u32(..100) == 0);
            failing += u32::from(failures.is_failing());
        }
        assert!(
            failing < 10_000,
            "1 % of failures are most of the time forgiven: {failing}"
        );
    }
}
