//! The report as text.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::load::{PERCENTILES, Report};

/// All figures of a report, one per line, without a trailing line end.
pub(super) fn render(report: &Report) -> String {
    let mut lines = Lines::default();
    let seconds = report.elapsed.as_secs_f64();
    lines.add("requests", format!("{} in {seconds:.2} s", report.requests));
    lines.add("rate", format!("{:.1} req/s", report.rate()));
    lines.add(
        "received",
        traffic(report.bytes_received, report.body_bytes),
    );
    lines.add("sent", bytes(report.bytes_sent));
    lines.add(
        "connections",
        format!(
            "{} opened, {} found stale",
            report.connections, report.stale
        ),
    );
    if let Some(held) = report.held {
        lines.add(
            "held",
            format!("{} open to the end, {} not", held.open, held.failed),
        );
    }
    if let Some(handshakes) = report.handshakes {
        let text = format!(
            "{} completed, {} of them resumed",
            handshakes.completed, handshakes.resumed
        );
        lines.add("handshakes", text);
    }
    if report.warmup_requests > 0 {
        lines.add(
            "warm-up",
            format!(
                "{} requests, {} failed",
                report.warmup_requests, report.warmup_failures
            ),
        );
    }
    lines.add("failed", report.failed().to_string());
    for (kind, count) in &report.failures {
        lines.add(&format!("  {kind}"), count.to_string());
    }
    for example in &report.examples {
        lines.add("  e.g.", example.clone());
    }
    lines.times("latency", &report.latency);
    lines.times("send lag", &report.send_lag);
    lines.0.trim_end().to_owned()
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, label: &str, text: String) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{label:<12} {text}");
    }

    fn times(&mut self, label: &str, histogram: &Histogram<u64>) {
        if histogram.is_empty() {
            return;
        }
        self.add(
            label,
            format!(
                "min {}  mean {}",
                time(histogram.min() as f64),
                time(histogram.mean())
            ),
        );
        let percentiles = PERCENTILES
            .map(|(name, at)| format!("{name} {}", time(histogram.value_at_percentile(at) as f64)));
        self.add(
            "",
            format!(
                "{}  max {}",
                percentiles.join("  "),
                time(histogram.max() as f64)
            ),
        );
    }
}

fn traffic(received: u64, bodies: u64) -> String {
    format!("{} ({} of verified bodies)", bytes(received), bytes(bodies))
}

fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// Nanoseconds in the unit with one to three digits before the decimal point.
fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.3} s", nanos / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_a_unit_that_suits_them() {
        let printed = [512.0, 43_210.0, 1_250_000.0, 2_000_000_000.0].map(time);
        assert_eq!(printed, ["512 ns", "43.2 us", "1.25 ms", "2.000 s"]);
    }
}
