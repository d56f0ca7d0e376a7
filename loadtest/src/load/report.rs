//! The result of a run, and its JSON form.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::failure::FailureKind;
use super::hold::Held;

/// The result of a run. Requests of the warm-up are only in the two `warmup_` counts, the examples
/// and the traffic.
#[derive(Debug, Clone)]
pub struct Report {
    /// Requests that ended, successful or not.
    pub requests: u64,
    /// Requests with a verified response.
    pub passed: u64,
    /// Verified responses within `elapsed`; later ones are possible.
    pub passed_in_time: u64,
    /// Failed requests by kind.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Complete responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The first few failures as text, including those of the warm-up.
    pub examples: Vec<String>,
    /// Number of reused connections that were closed before the first byte of a response, or
    /// requests that were returned unprocessed (HTTP/2). Not failures if the request could be
    /// retried.
    pub stale: u64,
    /// Requests of the warm-up.
    pub warmup_requests: u64,
    /// Failed requests of the warm-up.
    pub warmup_failures: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections that stayed open until the end ([`Plan::hold`](super::Plan::hold)), and those
    /// that did not.
    pub held: Option<Held>,
    /// TLS handshakes, including the warm-up; `None` for `http://`.
    pub handshakes: Option<Handshakes>,
    /// Whether the run must resume sessions; it is not clean when it resumed none.
    pub resumption_claimed: bool,
    /// Bytes received, heads and framing included.
    pub bytes_received: u64,
    /// Bytes sent, heads and framing included.
    pub bytes_sent: u64,
    /// Bytes of verified bodies.
    pub body_bytes: u64,
    /// Nanoseconds from the scheduled start to the last byte: of verified responses, and of
    /// timeouts (which are at least as long as shown). Other failures are omitted: they tend to be
    /// fast and would improve the result.
    pub latency: Histogram<u64>,
    /// At a constant rate: nanoseconds from the scheduled to the real start, because no connection
    /// was free or the generator was late. Empty in a closed loop.
    pub send_lag: Histogram<u64>,
    /// Length of the measured part.
    pub elapsed: Duration,
}

/// TLS handshakes of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Completed handshakes.
    pub completed: u64,
    /// Completed handshakes that resumed a session.
    pub resumed: u64,
}

impl Handshakes {
    pub(super) fn absorb(&mut self, other: Self) {
        self.completed += other.completed;
        self.resumed += other.resumed;
    }
}

/// Maximum latency of the histograms: one hour.
const LONGEST: u64 = 3_600_000_000_000;

/// The percentiles of the report, with their names.
pub const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Number of failures that are reported as text.
pub(super) const MOST_EXAMPLES: usize = 5;

/// An empty histogram of nanoseconds with three significant digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("constant bounds are valid")
}

impl Report {
    /// Failed requests of all kinds, without the warm-up.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Failed requests of one kind.
    #[must_use]
    pub fn failed_by(&self, kind: FailureKind) -> u64 {
        self.failures.get(&kind).copied().unwrap_or(0)
    }

    /// Whether there were requests and none failed, including the warm-up, and sessions were
    /// resumed if required.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let resumed = self
            .handshakes
            .is_some_and(|handshakes| handshakes.resumed > 0);
        let sound = resumed || !self.resumption_claimed;
        sound && self.requests > 0 && self.failed() == 0 && self.warmup_failures == 0
    }

    /// Verified responses per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.passed_in_time as f64 / seconds
        } else {
            0.0
        }
    }

    /// Adds the result of another run at the same time.
    pub fn absorb(&mut self, other: Self) {
        let Self {
            requests,
            passed,
            passed_in_time,
            failures,
            statuses,
            examples,
            stale,
            ..
        } = other;
        self.requests += requests;
        self.passed += passed;
        self.passed_in_time += passed_in_time;
        for (kind, count) in failures {
            *self.failures.entry(kind).or_default() += count;
        }
        for (status, count) in statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.examples.extend(examples);
        self.examples.truncate(MOST_EXAMPLES);
        self.stale += stale;
        self.warmup_requests += other.warmup_requests;
        self.warmup_failures += other.warmup_failures;
        self.connections += other.connections;
        if let Some(others) = other.handshakes {
            self.handshakes.get_or_insert_default().absorb(others);
        }
        self.held = match (self.held, other.held) {
            (Some(one), Some(other)) => Some(Held {
                open: one.open + other.open,
                failed: one.failed + other.failed,
            }),
            (one, other) => one.or(other),
        };
        self.resumption_claimed |= other.resumption_claimed;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.body_bytes += other.body_bytes;
        self.latency
            .add(other.latency)
            .expect("all histograms have the same bounds");
        self.send_lag
            .add(other.send_lag)
            .expect("all histograms have the same bounds");
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// The whole report as JSON; times in microseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let failures: BTreeMap<_, _> = self
            .failures
            .iter()
            .map(|(kind, count)| (kind.to_string(), *count))
            .collect();
        json!({
            "requests": self.requests,
            "passed": self.passed,
            "failed": self.failed(),
            "failures": failures,
            "statuses": self.statuses,
            "examples": self.examples,
            "stale": self.stale,
            "warmup": { "requests": self.warmup_requests, "failed": self.warmup_failures },
            "connections": self.connections,
            "held": self.held.map(|held| json!({ "connections": held.open + held.failed, "open": held.open })),
            "handshakes": self.handshakes.map(|handshakes| {
                json!({ "completed": handshakes.completed, "resumed": handshakes.resumed })
            }),
            "bytes": { "received": self.bytes_received, "sent": self.bytes_sent, "body": self.body_bytes },
            "elapsed_s": self.elapsed.as_secs_f64(),
            "requests_per_s": self.rate(),
            "latency_us": times(&self.latency),
            "send_lag_us": times(&self.send_lag),
        })
    }
}

/// Min, mean, percentiles and max in microseconds; `null` when nothing was recorded.
fn times(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let micros = |nanos: f64| json!((nanos / 100.0).round() / 10.0);
    let mut object = serde_json::Map::new();
    object.insert("min".to_owned(), micros(histogram.min() as f64));
    object.insert("mean".to_owned(), micros(histogram.mean()));
    for (name, percentile) in PERCENTILES {
        object.insert(
            name.to_owned(),
            micros(histogram.value_at_percentile(percentile) as f64),
        );
    }
    object.insert("max".to_owned(), micros(histogram.max() as f64));
    Value::Object(object)
}
