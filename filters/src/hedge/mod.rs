//! Hedging: when a second attempt is due beside a slow one, and whether it is permitted.
//!
//! The few requests that take much longer than the rest mostly wait for one endpoint that is busy
//! with something else; another endpoint responds sooner. The cost is load, so hedged requests
//! never exceed a configured share, and each second attempt also spends the upstream's retry
//! budget. Each worker measures and decides for its own requests.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use outrigger_config::model::{Hedge, HedgeAfter};

use crate::recycle::line::Line;

/// The fewest measured responses for a percentile.
const ENOUGH: u32 = 100;

/// After this many responses, older ones are weighted less.
const MEMORY: u32 = 2048;

/// A percentile is computed again after this many responses.
const STEP: u32 = 16;

/// The cost of a second attempt, in the unit that requests earn.
const SECOND_TRY: u64 = 1_000_000;

/// The most second attempts that can be saved up for a burst.
const RESERVE: u64 = 10 * SECOND_TRY;

/// When second attempts start, for the requests of one route to one upstream on one worker.
#[derive(Debug)]
pub struct Hedging {
    after: HedgeAfter,
    /// Earned by each request.
    earns: u64,
    earned: Cell<u64>,
    times: RefCell<Times>,
    known: Cell<Option<Duration>>,
    /// First attempts in flight.
    pub line: Line,
}

impl Hedging {
    /// Nothing was measured yet.
    pub fn new(hedge: &Hedge) -> Self {
        Self {
            after: hedge.after,
            earns: u64::from(hedge.max_percent.per_million()),
            earned: Cell::new(0),
            times: RefCell::default(),
            known: Cell::new(None),
            line: Line::default(),
        }
    }

    /// Records a request that may be hedged.
    pub fn earn(&self) {
        self.earned
            .set((self.earned.get() + self.earns).min(RESERVE));
    }

    /// How long its first attempt may run alone; `None` while that is not known.
    pub fn delay(&self) -> Option<Duration> {
        match self.after {
            HedgeAfter::Time(time) => Some(time),
            HedgeAfter::Percentile(_) => self.known.get(),
        }
    }

    /// Records the time of a first attempt to its response, or until the second attempt won.
    pub fn measured(&self, took: Duration) {
        let HedgeAfter::Percentile(percentile) = self.after else {
            return;
        };
        let mut times = self.times.borrow_mut();
        times.add(took);
        if times.count >= ENOUGH && times.count.is_multiple_of(STEP) || self.known.get().is_none() {
            self.known.set(times.percentile(percentile));
        }
    }

    /// Whether a second attempt is permitted; if so, it is counted.
    pub fn spend(&self) -> bool {
        let left = self.earned.get().checked_sub(SECOND_TRY);
        left.map(|left| self.earned.set(left)).is_some()
    }
}

/// Eight buckets for each doubling, so the error of a percentile is at most an eighth, from 1 us to
/// over a minute.
const STEPS: usize = 8;
const BUCKETS: usize = 26 * STEPS;

/// A histogram with exponential buckets, in which older values decay.
#[derive(Debug)]
struct Times {
    buckets: Box<[u32; BUCKETS]>,
    count: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
        }
    }
}

impl Times {
    fn add(&mut self, took: Duration) {
        self.buckets[bucket(took)] += 1;
        self.count += 1;
        if self.count >= MEMORY {
            self.buckets.iter_mut().for_each(|bucket| *bucket /= 2);
            self.count = self.buckets.iter().sum();
        }
    }

    /// The upper bound of the bucket that contains this percentile.
    fn percentile(&self, percentile: u8) -> Option<Duration> {
        if self.count < ENOUGH {
            return None;
        }
        let wanted = (self.count * u32::from(percentile)).div_ceil(100);
        let mut sum = 0;
        let found = self.buckets.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        found.map(upper_end)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros())
        .unwrap_or(u64::MAX)
        .max(STEPS as u64);
    let doubling = micros.ilog2() as usize - STEPS.ilog2() as usize;
    let step = (micros >> doubling) as usize - STEPS;
    (doubling * STEPS + step).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    Duration::from_micros(((bucket % STEPS + STEPS + 1) as u64) << (bucket / STEPS))
}

#[cfg(test)]
mod tests {
    use outrigger_config::model::Percent;

    use super::*;

    fn hedging(after: HedgeAfter, percent: u32) -> Hedging {
        Hedging::new(&Hedge::new(after, Percent::of_million(percent * 10_000)))
    }

    #[test]
    fn a_bucket_ends_at_most_an_eighth_above_its_times() {
        for micros in [
            8_u64, 9, 15, 16, 17, 100, 999, 1_000, 12_345, 250_000, 1_000_000, 59_000_000,
        ] {
            let end = upper_end(bucket(Duration::from_micros(micros))).as_micros() as u64;
            assert!(
                end > micros && end <= micros + micros / 8 + 1,
                "{micros} in a bucket up to {end}"
            );
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_known_after_a_hundred_answers_and_follows_what_changes() {
        let hedging = hedging(HedgeAfter::Percentile(95), 100);
        for turn in 0..100 {
            assert_eq!(hedging.delay(), None, "after {turn} answers");
            // Nine of ten take 10 ms, one takes a second.
            hedging.measured(Duration::from_millis(if turn % 10 == 9 {
                1_000
            } else {
                10
            }));
        }
        let slow = hedging.delay().unwrap();
        assert!((1_000..=1_130).contains(&slow.as_millis()), "{slow:?}");
        for _ in 0..5 * MEMORY {
            hedging.measured(Duration::from_millis(10));
        }
        let fast = hedging.delay().unwrap();
        assert!((10..=12).contains(&fast.as_millis()), "{fast:?}");
    }

    #[test]
    fn a_time_that_is_given_needs_no_answers() {
        let hedging = hedging(HedgeAfter::Time(Duration::from_millis(20)), 5);
        assert_eq!(hedging.delay(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn second_tries_never_exceed_their_share() {
        for percent in [0, 1, 5, 50, 100] {
            let hedging = hedging(HedgeAfter::Time(Duration::from_millis(1)), percent);
            let granted = (0..10_000).filter(|_| {
                hedging.earn();
                hedging.spend()
            });
            assert_eq!(granted.count(), percent as usize * 100);
        }
        // What was not used in a long good time is not all used in the first bad moment.
        let hedging = hedging(HedgeAfter::Time(Duration::from_millis(1)), 5);
        (0..100_000).for_each(|_| hedging.earn());
        assert_eq!((0..1_000).filter(|_| hedging.spend()).count(), 10);
    }
}
