//! Several rounds of the same measurement as one row.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measure::Measured;
use crate::load::FailureKind;

/// All rounds of one candidate in one variant.
#[derive(Debug, Clone)]
pub struct Figures {
    rounds: Vec<Measured>,
}

impl Figures {
    /// `None` without a round.
    pub(super) fn new(rounds: Vec<Measured>) -> Option<Self> {
        (!rounds.is_empty()).then_some(Self { rounds })
    }

    fn sum(&self, of: impl Fn(&Measured) -> u64) -> u64 {
        self.rounds.iter().map(of).sum()
    }

    /// Verified answers, in percent of all counted requests.
    #[must_use]
    pub fn success(&self) -> f64 {
        let all = self.sum(|round| round.report.requests);
        self.sum(|round| round.report.passed) as f64 * 100.0 / all.max(1) as f64
    }

    /// A percentile of the latency in milliseconds: the median of the rounds. `None` when nothing was answered.
    #[must_use]
    pub fn latency(&self, percentile: f64) -> Option<f64> {
        let of = |round: &Measured| {
            let latency = &round.report.latency;
            (!latency.is_empty()).then(|| latency.value_at_percentile(percentile) as f64 / 1e6)
        };
        median(self.rounds.iter().filter_map(of).collect())
    }

    /// Requests that were sent, the warm-up included.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.sum(|round| round.offered)
    }

    /// Requests that reached the upstream, the warm-up included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.sum(|round| round.counts.requests())
    }

    /// Seconds of load, the warm-up included.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.rounds.iter().map(|round| round.seconds).sum()
    }

    /// Requests that reached the upstream for each that was sent.
    #[must_use]
    pub fn attempts(&self) -> f64 {
        self.received() as f64 / self.offered().max(1) as f64
    }

    /// How often the most repeated request reached the upstream.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.rounds.iter().map(|round| round.counts.attempts.most).max().unwrap_or(0)
    }

    /// What part of the requests each endpoint received, in percent.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let all = self.received().max(1) as f64;
        let endpoints = self.rounds[0].counts.endpoints.len();
        let of = |index: usize| self.sum(|round| round.counts.endpoints[index].1.requests);
        (0..endpoints).map(|index| of(index) as f64 * 100.0 / all).collect()
    }

    /// Failed requests by kind.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<FailureKind, u64> {
        let mut sum = BTreeMap::new();
        for (kind, count) in self.rounds.iter().flat_map(|round| &round.report.failures) {
            *sum.entry(*kind).or_default() += count;
        }
        sum
    }

    /// Everything, each round for itself too.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rounds = self.rounds.iter().map(|round| {
            json!({
                "offered": round.offered,
                "seconds": round.seconds,
                "load": round.report.to_json(),
                "upstream": round.counts.to_json(),
            })
        });
        json!({
            "success_percent": self.success(),
            "p50_ms": self.latency(50.0),
            "p99_ms": self.latency(99.0),
            "p99.9_ms": self.latency(99.9),
            "offered": self.offered(),
            "received": self.received(),
            "attempts_per_request": self.attempts(),
            "most_attempts": self.most(),
            "share_percent": self.shares(),
            "rounds": rounds.collect::<Vec<_>>(),
        })
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_all_rounds() {
        let cases: [(&[f64], Option<f64>); 4] =
            [(&[], None), (&[3.0], Some(3.0)), (&[9.0, 1.0], Some(5.0)), (&[9.0, 1.0, 2.0], Some(2.0))];
        for (values, expected) in cases {
            assert_eq!(median(values.to_vec()), expected);
        }
    }
}
