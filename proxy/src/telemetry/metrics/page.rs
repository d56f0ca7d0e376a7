//! The scraped page, in the text format 0.0.4 of Prometheus or in OpenMetrics 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::{Display, Write};

use http::{HeaderMap, header};
use outrigger_monitor::exposition::{self, Syntax};

use super::{
    family::{About, DURATION_BUCKETS, Family},
    shard::Merged,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The format that `Accept` prefers; OpenMetrics only if the client lists it.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter();
        let ranges = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        let (mut text, mut open_metrics) = (0.0, 0.0);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            match kind {
                "application/openmetrics-text" => open_metrics = quality.max(open_metrics),
                "text/plain" | "text/*" => text = quality.max(text),
                _ => {}
            }
        }
        match open_metrics > 0.0 && open_metrics >= text {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page that is being written.
pub(crate) struct Page {
    text: String,
    format: Format,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        let text = String::with_capacity(8 * 1024);
        Self { text, format }
    }

    /// Adds the families of another page.
    pub(super) fn append(&mut self, other: &exposition::Page<'_>) {
        let syntax = match self.format {
            Format::Prometheus => Syntax::Text,
            Format::OpenMetrics => Syntax::OpenMetrics,
        };
        other.write(syntax, &mut self.text);
    }

    /// Finishes the page.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// A family with one sample for each set of label values.
    pub(super) fn family<'a, const N: usize, V: Display>(
        &mut self,
        family: &Family<N>,
        samples: impl IntoIterator<Item = ([&'a str; N], V)>,
    ) {
        self.head(&family.about);
        for (values, value) in samples {
            let labels = family.labels.into_iter().zip(values);
            self.sample(family.about.name, "", labels, value);
        }
    }

    /// A family without labels.
    pub(super) fn single(&mut self, family: &Family<0>, value: impl Display) {
        self.family(family, [([], value)]);
    }

    /// A family of histograms over [`DURATION_BUCKETS`].
    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        family: &Family<N>,
        all: impl IntoIterator<Item = ([&'a str; N], &'a Merged)>,
    ) {
        self.head(&family.about);
        let name = family.about.name;
        for (values, series) in all {
            let labels = || family.labels.into_iter().zip(values);
            let mut sum = 0;
            for (i, count) in series.buckets.iter().enumerate() {
                sum += count;
                // `1.0`, not `1`: OpenMetrics requires it, and Prometheus 3 writes it in both
                // formats.
                let bound = DURATION_BUCKETS
                    .get(i)
                    .map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
                self.sample(name, "_bucket", labels().chain([("le", &*bound)]), sum);
            }
            self.sample(name, "_sum", labels(), series.micros as f64 / 1e6);
            self.sample(name, "_count", labels(), sum);
        }
    }

    fn head(&mut self, about: &About) {
        let open_metrics = self.format == Format::OpenMetrics;
        let name = match open_metrics {
            true => about.open_metrics_name(),
            false => about.name,
        };
        let (help, kind) = (about.help, about.kind.as_str(open_metrics));
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        if let Some(unit) = about.unit().filter(|_| open_metrics) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    fn sample<'a>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: impl Display,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut open = '{';
        for (key, value) in labels {
            let _ = write!(self.text, "{open}{key}=\"");
            open = ',';
            // Only file paths can have characters that need escaping.
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if open == ',' { "}" } else { "" });
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{
        super::{Metrics, Monitored},
        *,
    };

    #[test]
    fn open_metrics_is_written_for_clients_that_prefer_it() {
        // As sent by Prometheus 2 and 3, curl, and tools that want only one format.
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                        text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, expected) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some(protobuf), Format::Prometheus),
            (
                Some("text/plain;q=0.9, application/openmetrics-text; q=0.4"),
                Format::Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("\u{7f},;q=x,"), Format::Prometheus),
            (None, Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept.and_then(|accept| HeaderValue::from_str(accept).ok()) {
                headers.append(header::ACCEPT, accept);
            }
            assert_eq!(Format::accepted(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_page_for_open_metrics_has_its_own_names_units_and_end() {
        let page = Metrics::default().render(Format::OpenMetrics, &Monitored::default(), None);
        for line in [
            "# TYPE outrigger_requests counter",
            "# TYPE outrigger_build info",
            "# TYPE outrigger_request_duration_seconds histogram",
            "# UNIT outrigger_request_duration_seconds seconds",
            "outrigger_panics_total 0",
        ] {
            assert!(
                page.lines().any(|one| one == line),
                "{line} is missing in\n{page}"
            );
        }
        assert!(page.ends_with("\n# EOF\n"), "{page}");
        assert_eq!(page.matches("# EOF").count(), 1);
    }
}
