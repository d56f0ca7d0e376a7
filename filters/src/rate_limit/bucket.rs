//! One token bucket, stored as one number (the generic cell rate algorithm, ITU-T I.371).
//!
//! Instead of tokens and the time of the last refill it stores the moment at which the bucket will
//! be full again. A request moves that moment by one interval, and is rejected if it would be
//! further ahead than the depth of the bucket. No refill task runs, and a missing map entry equals
//! a full bucket.

use std::time::Duration;

/// Nanoseconds on the limiter's own clock.
pub type Nanos = u64;

/// How fast a bucket fills and how deep it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// From one token to the next.
    interval: Nanos,
    /// From empty to full.
    depth: Nanos,
}

impl Rate {
    /// `requests` tokens are added in each `per`; at most `burst` can be spent at once. The rate is
    /// capped at one token per nanosecond.
    pub fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let interval = (per.as_nanos() / u128::from(requests.max(1))).max(1);
        let depth = interval.saturating_mul(u128::from(burst.max(1)));
        let nanos = |wide: u128| Nanos::try_from(wide).unwrap_or(Nanos::MAX);
        Self {
            interval: nanos(interval),
            depth: nanos(depth),
        }
    }

    /// Takes one token from a bucket that is full at `full_at`: returns the new such moment.
    ///
    /// # Errors
    /// The bucket is empty; the time until the next token.
    pub fn take(self, full_at: Nanos, now: Nanos) -> Result<Nanos, Duration> {
        let next = full_at.max(now).saturating_add(self.interval);
        match next.saturating_sub(now).checked_sub(self.depth) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// Takes tokens at these moments; which were granted.
    fn granted(rate: Rate, moments: &[Nanos]) -> Vec<bool> {
        let mut full_at = 0;
        let take = |now: &Nanos| match rate.take(full_at, *now) {
            Ok(next) => {
                full_at = next;
                true
            }
            Err(_) => false,
        };
        moments.iter().map(take).collect()
    }

    #[test]
    fn a_burst_passes_and_then_one_request_for_each_interval() {
        let rate = Rate::new(2, Duration::from_secs(1), 3);
        let moments = [0, 0, 0, 0, SECOND / 2 - 1, SECOND / 2, SECOND / 2, SECOND];
        assert_eq!(
            granted(rate, &moments),
            [true, true, true, false, false, true, false, true]
        );
    }

    #[test]
    fn a_bucket_is_never_deeper_than_its_burst() {
        let rate = Rate::new(1, Duration::from_secs(1), 2);
        let after_a_day = 86_400 * SECOND;
        assert_eq!(
            granted(rate, &[0, after_a_day, after_a_day, after_a_day]),
            [true, true, true, false]
        );
    }

    #[test]
    fn the_wait_is_exact() {
        let rate = Rate::new(1, Duration::from_secs(10), 1);
        let full_at = rate.take(0, 5 * SECOND).unwrap();
        assert_eq!(rate.take(full_at, 7 * SECOND), Err(Duration::from_secs(8)));
        assert!(rate.take(full_at, 15 * SECOND).is_ok());
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let rate = Rate::new(1, Duration::from_secs(1), 1);
        let mut moments = vec![0];
        moments.extend([SECOND / 2; 1000]);
        moments.push(SECOND);
        let all = granted(rate, &moments);
        assert_eq!(all.iter().filter(|granted| **granted).count(), 2);
        assert_eq!(all.last(), Some(&true));
    }

    #[test]
    fn the_extremes_neither_overflow_nor_let_everything_pass() {
        let slow = Rate::new(1, Duration::MAX, u32::MAX);
        assert!(slow.take(Nanos::MAX, Nanos::MAX).is_ok());
        let fast = Rate::new(u32::MAX, Duration::from_nanos(1), 1);
        assert_eq!(granted(fast, &[0, 0, 1]), [true, false, true]);
    }
}
