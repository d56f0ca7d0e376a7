//! Counts of one thread, which are merged into the report.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::hold::Held;
use super::report::{Handshakes, MOST_EXAMPLES, Report, histogram};
use super::schedule::{Schedule, Slot};

/// Counts of one thread.
#[derive(Debug)]
pub(super) struct Tally {
    passed: u64,
    passed_in_time: u64,
    failures: BTreeMap<FailureKind, u64>,
    statuses: BTreeMap<u16, u64>,
    examples: Vec<(Instant, String)>,
    stale: u64,
    warmup_requests: u64,
    warmup_failures: u64,
    body_bytes: u64,
    latency: Histogram<u64>,
    send_lag: Histogram<u64>,
    /// When the thread finished; set at the end, like the traffic below.
    pub(super) ended: Option<Instant>,
    pub(super) connections: u64,
    pub(super) handshakes: Handshakes,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

/// A complete response and its verdict.
#[derive(Debug)]
pub(super) struct Answer {
    /// `None` for a handshake.
    pub(super) status: Option<StatusCode>,
    pub(super) length: u64,
    pub(super) verdict: Result<(), Failure>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            passed: 0,
            passed_in_time: 0,
            failures: BTreeMap::new(),
            statuses: BTreeMap::new(),
            examples: Vec::new(),
            stale: 0,
            warmup_requests: 0,
            warmup_failures: 0,
            body_bytes: 0,
            latency: histogram(),
            send_lag: histogram(),
            ended: None,
            connections: 0,
            handshakes: Handshakes::default(),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    pub(super) fn stale(&mut self) {
        self.stale += 1;
    }

    pub(super) fn send_lag(&mut self, slot: Slot, begun: Instant) {
        if slot.measured {
            self.send_lag
                .saturating_record(nanos(begun.saturating_duration_since(slot.intended)));
        }
    }

    /// Records the result of one request. Returns whether it failed.
    pub(super) fn record(
        &mut self,
        schedule: &Schedule,
        slot: Slot,
        finished: Instant,
        outcome: Result<Answer, Failure>,
    ) -> bool {
        let verdict = match outcome {
            Ok(answer) => {
                if slot.measured {
                    self.answered(&answer);
                }
                answer.verdict
            }
            Err(failure) => Err(failure),
        };
        let kind = verdict.as_ref().err().map(|failure| failure.kind);
        match slot.measured {
            true => self.measured(schedule, slot, finished, kind),
            false => {
                self.warmup_requests += 1;
                self.warmup_failures += u64::from(kind.is_some());
            }
        }
        if let Err(failure) = verdict {
            self.example(finished, &failure);
        }
        kind.is_some()
    }

    fn answered(&mut self, answer: &Answer) {
        if let Some(status) = answer.status {
            *self.statuses.entry(status.as_u16()).or_default() += 1;
        }
        if answer.verdict.is_ok() {
            self.body_bytes += answer.length;
        }
    }

    fn measured(
        &mut self,
        schedule: &Schedule,
        slot: Slot,
        finished: Instant,
        kind: Option<FailureKind>,
    ) {
        match kind {
            None => {
                self.passed += 1;
                self.passed_in_time += u64::from(schedule.end().is_none_or(|end| finished <= end));
            }
            Some(kind) => *self.failures.entry(kind).or_default() += 1,
        }
        if matches!(kind, None | Some(FailureKind::Timeout)) {
            self.latency
                .saturating_record(nanos(finished.saturating_duration_since(slot.intended)));
        }
    }

    fn example(&mut self, when: Instant, failure: &Failure) {
        if self.examples.len() < MOST_EXAMPLES {
            self.examples
                .push((when, format!("{}: {}", failure.kind, failure.detail)));
        }
    }

    fn absorb(&mut self, other: Self) {
        self.passed += other.passed;
        self.passed_in_time += other.passed_in_time;
        add_all(&mut self.failures, other.failures);
        add_all(&mut self.statuses, other.statuses);
        self.examples.extend(other.examples);
        self.stale += other.stale;
        self.warmup_requests += other.warmup_requests;
        self.warmup_failures += other.warmup_failures;
        self.body_bytes += other.body_bytes;
        self.latency
            .add(other.latency)
            .expect("all histograms have the same bounds");
        self.send_lag
            .add(other.send_lag)
            .expect("all histograms have the same bounds");
        self.ended = self.ended.max(other.ended);
        self.connections += other.connections;
        self.handshakes.absorb(other.handshakes);
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
    }

    /// Merges the threads of a run. `resumption`: with TLS, whether sessions are resumed.
    pub(super) fn report(
        tallies: impl IntoIterator<Item = Self>,
        schedule: &Schedule,
        held: Option<Held>,
        resumption: Option<bool>,
    ) -> Report {
        let mut sum = Self::new();
        tallies.into_iter().for_each(|tally| sum.absorb(tally));
        let elapsed = sum
            .ended
            .map_or(Duration::ZERO, |ended| schedule.measured_until(ended));
        sum.examples.sort();
        Report {
            requests: sum.passed + sum.failures.values().sum::<u64>(),
            passed: sum.passed,
            passed_in_time: sum.passed_in_time,
            failures: sum.failures,
            statuses: sum.statuses,
            examples: sum
                .examples
                .into_iter()
                .map(|(_, text)| text)
                .take(MOST_EXAMPLES)
                .collect(),
            stale: sum.stale,
            warmup_requests: sum.warmup_requests,
            warmup_failures: sum.warmup_failures,
            connections: sum.connections,
            held,
            handshakes: resumption.map(|_| sum.handshakes),
            resumption_claimed: resumption == Some(true),
            bytes_received: sum.bytes_received,
            bytes_sent: sum.bytes_sent,
            body_bytes: sum.body_bytes,
            latency: sum.latency,
            send_lag: sum.send_lag,
            elapsed,
        }
    }
}

fn add_all<K: Ord>(sum: &mut BTreeMap<K, u64>, other: BTreeMap<K, u64>) {
    for (key, count) in other {
        *sum.entry(key).or_default() += count;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
