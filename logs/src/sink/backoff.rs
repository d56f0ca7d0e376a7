//! How long to wait after a failure: exponentially longer, with full jitter, so that many pods do not come back at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// A server that names a longer time is asked after this one all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// The wait after one more failure; at least what the server asked for.
    pub(crate) fn next(&mut self, after: Option<Duration>) -> Duration {
        let ceiling = FIRST
            .saturating_mul(2_u32.saturating_pow(self.0.min(16)))
            .min(LONGEST);
        self.0 += 1;
        let jitter = ceiling.mul_f64(fastrand::f64());
        // Never without any wait: a server that refuses at once must not be asked in a loop.
        let least = after.unwrap_or(FIRST / 10).min(LONGEST_ASKED);
        match after {
            Some(_) => least + jitter.min(Duration::from_secs(1)),
            None => jitter.max(least),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_jitter_up_to_a_bound_and_respect_what_the_server_asks() {
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for failure in 0..40 {
                let wait = backoff.next(None);
                let ceiling = FIRST * 2_u32.pow(failure.min(7));
                assert!(wait <= ceiling.min(LONGEST) && wait >= FIRST / 10);
                longest = longest.max(wait);
            }
            let asked = backoff.next(Some(Duration::from_secs(7)));
            assert!(asked >= Duration::from_secs(7) && asked <= Duration::from_secs(8));
            let absurd = backoff.next(Some(Duration::from_secs(1 << 40)));
            assert!(absurd <= LONGEST_ASKED + Duration::from_secs(1));
        }
        assert!(longest > Duration::from_secs(25));
    }
}
