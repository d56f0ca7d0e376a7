//! A page of metrics as a request of OTLP: the same names, labels and values.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>, and the data model's rules for Prometheus:
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.

mod group;
mod message;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use prost::Message;

use self::message::{
    Any, AnyValue, CUMULATIVE, Data, ExportRequest, ExportResponse, Gauge, Histogram, KeyValue,
    Metric, Number, NumberPoint, Resource, ResourceMetrics, Scope, ScopeMetrics, Sum, Summary,
};
use crate::exposition::{Family, Page, Sample, Syntax, labels};

/// From when to when the values of counters count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The start of this process.
    pub start: SystemTime,
    /// Now.
    pub now: SystemTime,
}

impl Times {
    fn start(&self) -> u64 {
        nanos(self.start)
    }

    fn now(&self) -> u64 {
        nanos(self.now)
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since: Duration| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Encodes a page in the text format. `resource` says what it is about, as `k8s.pod.name`.
pub fn encode(page: &Page<'_>, times: Times, resource: &[(&str, String)]) -> Vec<u8> {
    let metrics = page
        .families
        .iter()
        .filter(|family| !family.lines.is_empty());
    let scope = Scope {
        name: "outrigger".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let request = ExportRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: resource
                    .iter()
                    .map(|(key, value)| attribute(key, value.clone()))
                    .collect(),
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics: metrics.map(|family| metric(family, times)).collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// How many data points a collector did not take, and why; `None` when it took all.
pub fn rejected(response: &[u8]) -> Option<(i64, String)> {
    let partial = ExportResponse::decode(response).ok()?.partial_success?;
    (partial.rejected_data_points > 0)
        .then_some((partial.rejected_data_points, partial.error_message))
}

fn attribute(key: &str, text: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::Text(text)),
        }),
    }
}

/// The labels of a sample, but for one.
fn attributes(sample: &Sample<'_>, without: &str) -> Vec<KeyValue> {
    labels(sample.labels)
        .into_iter()
        .filter(|(name, _)| *name != without)
        .map(|(name, value)| attribute(name, unescaped(value)))
        .collect()
}

fn metric(family: &Family<'_>, times: Times) -> Metric {
    let samples: Vec<Sample<'_>> = family
        .lines
        .iter()
        .filter_map(|line| Sample::read(line, Syntax::Text))
        .collect();
    let data = match family.kind {
        Some("counter") => Data::Sum(Sum {
            data_points: numbers(&samples, times, times.start()),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Some("histogram") => Data::Histogram(Histogram {
            data_points: group::histograms(family.name, &samples, times),
            aggregation_temporality: CUMULATIVE,
        }),
        Some("summary") => Data::Summary(Summary {
            data_points: group::summaries(family.name, &samples, times),
        }),
        // Of an untyped family nothing is known but its values.
        _ => Data::Gauge(Gauge {
            data_points: numbers(&samples, times, 0),
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: unescaped(family.help.unwrap_or_default()),
        unit: unit(family.name).to_owned(),
        data: Some(data),
    }
}

fn numbers(samples: &[Sample<'_>], times: Times, start: u64) -> Vec<NumberPoint> {
    let point = |sample: &Sample<'_>| {
        Some(NumberPoint {
            attributes: attributes(sample, ""),
            start_time_unix_nano: start,
            time_unix_nano: at(sample, times),
            value: Some(Number::Double(sample.number()?)),
        })
    };
    samples.iter().filter_map(point).collect()
}

/// When a sample was taken: by its own word, or now.
fn at(sample: &Sample<'_>, times: Times) -> u64 {
    let millis = sample
        .timestamp
        .and_then(|millis| millis.parse::<u64>().ok());
    millis.map_or_else(|| times.now(), |millis| millis.saturating_mul(1_000_000))
}

/// The unit in UCUM, where the name has one.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

/// A label's value, or a help, without its escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => out.push('\n'),
                Some(other @ ('\\' | '"')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (plain, false) => out.push(plain),
        }
    }
    out
}
