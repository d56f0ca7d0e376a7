//! Response times of an endpoint: a moving average that follows peaks at once and decays slowly.
//!
//! The idea is Finagle's Peak EWMA: an endpoint that becomes slow is noticed with its first slow
//! response, and gets requests again as the average decays. A failure says nothing about response
//! times and must not make its endpoint look fast: it counts as twice the estimate, up to 1 s.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// After this time, in microseconds, the weight of an observation is down to 1/e.
const DECAY: f64 = 10_000_000.0;

/// Lowest and highest penalty of a failure, in microseconds.
const LEAST: f64 = 1_000.0;
const MOST: f64 = 1_000_000.0;

/// Estimate of one endpoint: microseconds as `f32` in the lower half, and its time in milliseconds
/// in the upper half. 0 without an observation.
#[derive(Debug, Default)]
pub(crate) struct Latency(AtomicU64);

impl Latency {
    /// Records a response that took this long.
    pub(crate) fn record_response(&self, took: u64, now: u64) {
        let took = took as f64;
        self.update(now, |known| match known {
            Some((estimate, age)) if took < estimate => {
                let kept = kept(age);
                estimate * kept + took * (1.0 - kept)
            }
            _ => took,
        });
    }

    /// Records a failure after this long.
    pub(crate) fn record_failure(&self, took: u64, now: u64) {
        self.update(now, |known| {
            let doubled = known.map_or(0.0, |(estimate, _)| estimate * 2.0);
            doubled.clamp(LEAST, MOST).max(took as f64)
        });
    }

    /// Expected time of the next response, in microseconds; decays while there are no requests.
    /// `None` without an observation.
    pub(crate) fn estimate(&self, now: u64) -> Option<f64> {
        read(self.0.load(Relaxed), now).map(|(estimate, age)| (estimate * kept(age)).max(1.0))
    }

    fn update(&self, now: u64, next: impl Fn(Option<(f64, f64)>) -> f64) {
        let write = |packed| {
            let estimate = next(read(packed, now)).max(1.0) as f32;
            Some((now / 1000) << 32 | u64::from(estimate.to_bits()))
        };
        let _ = self.0.fetch_update(Relaxed, Relaxed, write);
    }
}

/// Remaining weight of an observation of this age. Observations of a busy endpoint are milliseconds
/// apart, where the first terms of the series are exact to 2 in 10 million.
fn kept(age: f64) -> f64 {
    let x = age / DECAY;
    if x < 0.01 {
        1.0 - x + x * x / 2.0
    } else {
        (-x).exp()
    }
}

/// The estimate, and its age in microseconds.
fn read(packed: u64, now: u64) -> Option<(f64, f64)> {
    // The timestamp wraps around after 49 days, so ages are differences.
    let age = ((now / 1000) as u32).wrapping_sub((packed >> 32) as u32);
    // The clock of another worker was a little ahead.
    let age = if age > u32::MAX / 2 { 0 } else { age };
    let estimate = f64::from(f32::from_bits(packed as u32));
    (packed != 0).then(|| (estimate, f64::from(age) * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn close(estimate: Option<f64>, expected: f64) {
        let estimate = estimate.unwrap();
        assert!(
            (estimate / expected - 1.0).abs() < 0.02,
            "{estimate}, not {expected}"
        );
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let latency = Latency::default();
        assert_eq!(latency.estimate(SECOND), None);
        latency.record_response(5_000, SECOND);
        close(latency.estimate(SECOND), 5_000.0);
        latency.record_response(500_000, 2 * SECOND);
        close(latency.estimate(2 * SECOND), 500_000.0);
        close(
            latency.estimate(12 * SECOND),
            500_000.0 / std::f64::consts::E,
        );
        for tenth in 20..1000 {
            latency.record_response(5_000, tenth * SECOND / 10);
        }
        close(latency.estimate(100 * SECOND), 5_000.0);
    }

    #[test]
    fn failures_never_make_an_endpoint_look_fast() {
        let latency = Latency::default();
        latency.record_failure(50, SECOND);
        close(latency.estimate(SECOND), 1_000.0);
        for _ in 0..20 {
            latency.record_failure(50, SECOND);
        }
        close(latency.estimate(SECOND), 1_000_000.0);
        latency.record_failure(5_000_000, SECOND);
        close(latency.estimate(SECOND), 5_000_000.0);
    }

    #[test]
    fn the_stamp_may_wrap_and_clocks_of_workers_may_differ_a_little() {
        let latency = Latency::default();
        let late = (u64::from(u32::MAX) + 1) * 1000;
        latency.record_response(5_000, late - SECOND);
        close(
            latency.estimate(late + 9 * SECOND),
            5_000.0 / std::f64::consts::E,
        );
        close(latency.estimate(late - 2 * SECOND), 5_000.0);
    }
}
