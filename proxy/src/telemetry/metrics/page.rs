//! The Prometheus text, format 0.0.4.

use std::fmt::Write;

use super::shard::Merged;
use crate::telemetry::names;

/// A page of Prometheus text, as far as it is written.
pub(super) struct Page(pub(super) String);

impl Page {
    /// Begins a metric.
    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One line of it.
    pub(super) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.0.push_str(name);
        for (i, (key, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{key}=\"", if i == 0 { '{' } else { ',' });
            // Only paths of files can have what needs an escape.
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        self.0.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric with one line and no label.
    pub(super) fn single(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl std::fmt::Display,
    ) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The lines of one histogram.
    pub(super) fn histogram(&mut self, labels: [(&str, &str); 3], series: &Merged) {
        let bucket = format!("{}_bucket", names::REQUEST_DURATION);
        let mut sum = 0;
        for (i, count) in series.buckets.iter().enumerate() {
            sum += count;
            let bound = names::DURATION_BUCKETS
                .get(i)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let [listener, route, upstream] = labels;
            self.sample(&bucket, &[listener, route, upstream, ("le", &bound)], sum);
        }
        self.sample(
            &format!("{}_sum", names::REQUEST_DURATION),
            &labels,
            series.micros as f64 / 1e6,
        );
        self.sample(&format!("{}_count", names::REQUEST_DURATION), &labels, sum);
    }
}
