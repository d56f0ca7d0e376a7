//! Several rounds of the same measurement, as one row.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measure::Measured;
use crate::load::{FailureKind, Report};
use crate::stats::median;

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

    /// Verified responses, in percent of all measured requests.
    #[must_use]
    pub fn success(&self) -> f64 {
        let all = self.sum(|round| round.report.requests);
        self.sum(|round| round.report.passed) as f64 * 100.0 / all.max(1) as f64
    }

    /// The time in milliseconds within which this percentage of all requests had a verified
    /// response: the median of the rounds. `None` when fewer had one at all. A percentile of only
    /// the responses would favor candidates that fail early.
    #[must_use]
    pub fn latency(&self, percentile: f64) -> Option<f64> {
        let rounds = self
            .rounds
            .iter()
            .map(|round| within(&round.report, percentile).unwrap_or(f64::INFINITY));
        median(rounds.collect()).filter(|time| time.is_finite())
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

    /// Requests that reached the upstream, per sent request.
    #[must_use]
    pub fn attempts(&self) -> f64 {
        self.received() as f64 / self.offered().max(1) as f64
    }

    /// How often the most repeated request reached the upstream.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.rounds
            .iter()
            .map(|round| round.counts.attempts.most)
            .max()
            .unwrap_or(0)
    }

    /// The share of requests that each endpoint received, in percent.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let all = self.received().max(1) as f64;
        let endpoints = self.rounds[0].counts.endpoints.len();
        let of = |index: usize| self.sum(|round| round.counts.endpoints[index].1.requests);
        (0..endpoints)
            .map(|index| of(index) as f64 * 100.0 / all)
            .collect()
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

    /// All values, including each round.
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

/// The time of one round. The histogram also contains timeouts, which are longer than any response.
fn within(report: &Report, percentile: f64) -> Option<f64> {
    let wanted = (report.requests as f64 * percentile / 100.0).ceil();
    if wanted < 1.0 || wanted > report.passed as f64 {
        return None;
    }
    let among = wanted / report.latency.len() as f64;
    Some(report.latency.value_at_quantile(among) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_without_a_right_answer_is_never_a_quick_one() {
        let origin = crate::origin::Origin::start().await.unwrap();
        let plan = crate::load::Plan {
            requests: Some(1),
            ..crate::load::Plan::new(origin.url("/"))
        };
        let mut report = crate::load::run(plan).await.unwrap();
        report.latency.reset();
        for millis in 1..=98 {
            report.latency.record(millis * 1_000_000).unwrap();
        }
        (report.requests, report.passed) = (100, 98);
        let near =
            |found: Option<f64>, expected: f64| (found.unwrap() / expected - 1.0).abs() < 0.01;
        assert!(
            near(within(&report, 50.0), 50.0),
            "{:?}",
            within(&report, 50.0)
        );
        assert!(
            near(within(&report, 98.0), 98.0),
            "{:?}",
            within(&report, 98.0)
        );
        assert_eq!(within(&report, 99.0), None);
        // Two timeouts are not responses either, however they are recorded.
        report.latency.record_n(2_000_000_000, 2).unwrap();
        assert!(
            near(within(&report, 98.0), 98.0),
            "{:?}",
            within(&report, 98.0)
        );
        assert_eq!(within(&report, 99.0), None);
    }
}
