//! One line with a sample: name, labels, value, timestamp, exemplar.

use super::Syntax;

/// A sample in its parts, each as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The name, with its suffix.
    pub name: &'a str,
    /// What stands between the braces.
    pub labels: &'a str,
    /// The value.
    pub value: &'a str,
    /// When it was taken: in milliseconds in the text format, in seconds in OpenMetrics.
    pub timestamp: Option<&'a str>,
}

impl<'a> Sample<'a> {
    /// Reads a line; `None` where Prometheus would not.
    pub fn read(line: &'a str, syntax: Syntax) -> Option<Self> {
        let end = line.find(|c: char| !is_name_char(c))?;
        let (name, rest) = line.split_at(end);
        if !is_name(name) {
            return None;
        }
        let rest = blank(rest);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inner) => {
                let end = labels_end(inner)?;
                (&inner[..end], blank(&inner[end + 1..]))
            }
            // Something must stand between a name and a value.
            None if line
                .as_bytes()
                .get(name.len())
                .is_some_and(|byte| is_blank(*byte)) =>
            {
                ("", rest)
            }
            None => return None,
        };
        let (rest, exemplar) = match (syntax, rest.split_once(" # ")) {
            (Syntax::OpenMetrics, Some((sample, exemplar))) => (sample, Some(exemplar)),
            _ => (rest, None),
        };
        if !exemplar.is_none_or(is_exemplar) {
            return None;
        }
        let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
        let (value, timestamp) = (words.next()?, words.next());
        let is_time = |text: &str| match syntax {
            Syntax::Text => text.parse::<i64>().is_ok(),
            Syntax::OpenMetrics => text.parse::<f64>().is_ok_and(f64::is_finite),
        };
        let is_read =
            number(value).is_some() && timestamp.is_none_or(is_time) && words.next().is_none();
        is_read.then_some(Self {
            name,
            labels,
            value,
            timestamp,
        })
    }

    /// The value; always there for a sample that was read.
    pub fn number(&self) -> Option<f64> {
        number(self.value)
    }
}

/// A value as Go reads it, for the forms that client libraries write.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Whether it is the name of a metric.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| is_name_char(c) && !c.is_ascii_digit())
        && name.chars().all(is_name_char)
}

fn is_label(name: &str) -> bool {
    is_name(name) && !name.contains(':')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Where the labels end: the place of the brace that closes them.
fn labels_end(inner: &str) -> Option<usize> {
    let mut labels = Labels { rest: inner };
    while labels.next()?.is_some() {}
    let is_closed = labels.rest.starts_with('}');
    is_closed.then(|| inner.len() - labels.rest.len())
}

/// Names and values of labels, escaped as they were, of what stands between the braces of a sample that was read.
pub fn labels(inner: &str) -> Vec<(&str, &str)> {
    let mut labels = Labels { rest: inner };
    let mut found = Vec::new();
    while let Some(Some(label)) = labels.next() {
        found.push(label);
    }
    found
}

struct Labels<'a> {
    rest: &'a str,
}

impl<'a> Labels<'a> {
    /// The next label; `Some(None)` at the brace or at the end, which stay; `None` when it is not one.
    fn next(&mut self) -> Option<Option<(&'a str, &'a str)>> {
        self.rest = blank(self.rest);
        if self.rest.is_empty() || self.rest.starts_with('}') {
            return Some(None);
        }
        let (name, rest) = self.rest.split_once('=')?;
        let rest = blank(rest).strip_prefix('"')?;
        let end = closing_quote(rest)?;
        let (value, rest) = (&rest[..end], blank(&rest[end + 1..]));
        let name = name.trim_matches([' ', '\t']);
        if !is_label(name) {
            return None;
        }
        self.rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.is_empty() || rest.starts_with('}') => rest,
            None => return None,
        };
        Some(Some((name, value)))
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// `{labels} value [timestamp]`.
fn is_exemplar(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('{') else {
        return false;
    };
    let Some(end) = labels_end(inner) else {
        return false;
    };
    let mut words = inner[end + 1..].split(' ').filter(|word| !word.is_empty());
    let has_value = words.next().is_some_and(|value| number(value).is_some());
    has_value && words.next().is_none_or(|time| number(time).is_some()) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_as_prometheus_reads_them() {
        let both = [Syntax::Text, Syntax::OpenMetrics];
        for (line, text, open_metrics) in [
            ("a 1", true, true),
            ("a{} 1", true, true),
            ("a:b_c9{x=\"1\",y=\"a\\\"},{\\\\\"} +Inf", true, true),
            ("a{x=\"1\",} NaN", true, true),
            ("a { x = \"1\" } 1e-9", true, true),
            ("a{x=\"ü\"} 1 1700000000000", true, true),
            ("a 1 1700000000.5", false, true),
            ("a 1 # {trace_id=\"x\"} 0.5 1700000000.1", false, true),
            ("a{x=\" # \"} 1 # {} 0.5", false, true),
            ("a 1 # {trace_id=\"x} 0.5", false, false),
            ("a 1 # x", false, false),
            ("a", false, false),
            ("a x", false, false),
            ("a1{} ", false, false),
            ("a{x=1} 1", false, false),
            ("a{x=\"1} 1", false, false),
            ("a{x=\"1\" 1", false, false),
            ("a{x=\"1\"y=\"2\"} 1", false, false),
            ("a{9x=\"1\"} 1", false, false),
            ("a{a:b=\"1\"} 1", false, false),
            ("9a 1", false, false),
            ("a-b 1", false, false),
            ("{a=\"1\"} 1", false, false),
            ("a 1 2 3", false, false),
            ("<html>", false, false),
            ("ü 1", false, false),
            ("", false, false),
        ] {
            let read = both.map(|syntax| Sample::read(line, syntax).is_some());
            assert_eq!(read, [text, open_metrics], "{line:?}");
        }
    }

    #[test]
    fn labels_stay_as_they_were_written() {
        let sample = Sample::read("a{x=\"1\",y=\"a\\\"},b=\"} 2", Syntax::Text).unwrap();
        assert_eq!(sample.name, "a");
        assert_eq!(labels(sample.labels), [("x", "1"), ("y", "a\\\"},b=")]);
        assert_eq!((sample.value, sample.timestamp), ("2", None));
    }
}
