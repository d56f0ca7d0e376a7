//! Histograms and summaries: several samples of the text format are one data point.

use super::{
    Times, at, attributes,
    message::{HistogramPoint, KeyValue, Quantile, SummaryPoint},
};
use crate::exposition::{Sample, labels};

/// What the samples with the same labels say together.
#[derive(Default)]
struct Group {
    attributes: Vec<KeyValue>,
    time: u64,
    count: f64,
    sum: Option<f64>,
    /// Bounds with cumulative counts, or quantiles with values.
    parts: Vec<(f64, f64)>,
}

/// Brings samples together by their labels; `part` is the label that names a part of one.
fn groups(family: &str, samples: &[Sample<'_>], times: Times, part: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for sample in samples {
        let Some(value) = sample.number() else {
            continue;
        };
        let attributes = attributes(sample, part);
        // Samples of one data point follow each other, so that the last group is the one, or nearly always.
        let known = groups
            .iter()
            .rposition(|group| group.attributes == attributes);
        let index = known.unwrap_or_else(|| {
            groups.push(Group {
                attributes,
                time: at(sample, times),
                ..Group::default()
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        match sample.name.strip_prefix(family) {
            Some("_sum") => group.sum = Some(value),
            Some("_count") => group.count = value,
            _ => {
                let named = labels(sample.labels)
                    .into_iter()
                    .find(|(name, _)| *name == part);
                let bound = named.and_then(|(_, bound)| bound.parse().ok());
                group.parts.extend(bound.map(|bound: f64| (bound, value)));
            }
        }
    }
    groups
}

pub(super) fn histograms(
    family: &str,
    samples: &[Sample<'_>],
    times: Times,
) -> Vec<HistogramPoint> {
    let point = |mut group: Group| {
        group.parts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut before = 0.0;
        let mut counts: Vec<u64> = Vec::with_capacity(group.parts.len() + 1);
        let mut bounds = Vec::with_capacity(group.parts.len());
        for (bound, cumulative) in group.parts.iter().filter(|(bound, _)| bound.is_finite()) {
            counts.push((cumulative - before).max(0.0) as u64);
            before = *cumulative;
            bounds.push(*bound);
        }
        counts.push((group.count - before).max(0.0) as u64);
        HistogramPoint {
            attributes: group.attributes,
            start_time_unix_nano: times.start(),
            time_unix_nano: group.time,
            count: group.count as u64,
            sum: group.sum,
            bucket_counts: counts,
            explicit_bounds: bounds,
        }
    };
    groups(family, samples, times, "le")
        .into_iter()
        .map(point)
        .collect()
}

pub(super) fn summaries(family: &str, samples: &[Sample<'_>], times: Times) -> Vec<SummaryPoint> {
    let point = |group: Group| SummaryPoint {
        attributes: group.attributes,
        start_time_unix_nano: times.start(),
        time_unix_nano: group.time,
        count: group.count as u64,
        sum: group.sum.unwrap_or_default(),
        quantile_values: group
            .parts
            .into_iter()
            .map(|(quantile, value)| Quantile { quantile, value })
            .collect(),
    };
    groups(family, samples, times, "quantile")
        .into_iter()
        .map(point)
        .collect()
}
