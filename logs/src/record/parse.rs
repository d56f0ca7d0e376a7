//! From the text of a record to its document.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    Filter, Flags, Labels, Mapping, Piece, Redact, Timestamps, document::Known, logfmt,
    mapping::take_scalar,
};

/// What the text of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A message.
    Text,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// What a container runtime writes. The container's own line is read as JSON when it is a JSON object.
    Cri,
}

/// What happened to records, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Could not be parsed and went on as text.
    pub parse_errors: u64,
    /// Had a time that could not be read.
    pub bad_timestamps: u64,
    /// Values and names that were redacted.
    pub redacted: u64,
    /// Were dropped by `drop` or `keep`.
    pub filtered: u64,
    /// Had bytes that are not UTF-8.
    pub invalid_utf8: u64,
    /// Were cut at a limit.
    pub truncated: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its document was written; it happened at this time, in nanoseconds since 1970.
    Written(i64),
    /// `drop` or `keep` removed it.
    Filtered,
}

/// Parses the records of one source.
#[derive(Debug, Clone)]
pub struct Parser {
    /// What their text is.
    pub format: Format,
    /// Which fields mean what.
    pub mapping: Mapping,
    /// How times are read.
    pub timestamps: Timestamps,
    /// What must not leave the pod.
    pub redact: Redact,
    /// Which records are sent.
    pub filter: Filter,
    /// Fields that each record has.
    pub labels: Labels,
}

impl Parser {
    /// Writes the document of a record behind what `out` holds. `now` is when its line was read, in nanoseconds since 1970.
    pub fn write(
        &self,
        piece: &Piece<'_>,
        path: &str,
        now: i64,
        out: &mut Vec<u8>,
        report: &mut Report,
    ) -> Outcome {
        let (mut fields, problem) = self.fields(piece);
        if !self.filter.sends(&piece.text, &fields) {
            report.filtered += 1;
            return Outcome::Filtered;
        }
        let mut flags = piece.flags;
        // Before redaction: an epoch looks like the number of a card.
        let time = match self.take_time(&mut fields, now) {
            None => piece.time.unwrap_or(now),
            Some(Some(time)) => time,
            Some(None) => {
                flags = flags.with(Flags::BAD_TIMESTAMP);
                piece.time.unwrap_or(now)
            }
        };
        report.redacted += self.redact.fields(&mut fields);
        let is_text = fields.is_empty();
        let body = if is_text {
            let clean = self.redact.text(&piece.text);
            report.redacted += u64::from(clean.is_some());
            Some(clean.unwrap_or(Cow::Borrowed(&piece.text)))
        } else {
            take_scalar(&self.mapping.body, &mut fields).map(Cow::Owned)
        };
        let severity = take_scalar(&self.mapping.severity, &mut fields);
        let trace_id = take_scalar(&self.mapping.trace_id, &mut fields);
        let span_id = take_scalar(&self.mapping.span_id, &mut fields);
        report.count(flags, problem.is_some());
        let known = Known {
            time,
            severity: severity.as_deref(),
            message: body.as_deref(),
            trace_id: trace_id.as_deref(),
            span_id: span_id.as_deref(),
            path,
            offset: piece.start,
            stream: piece.stream.map(super::cri::Stream::as_str),
            flags,
            problem: problem.as_deref(),
        };
        self.labels.write(&known, &fields, out);
        Outcome::Written(time)
    }

    /// The fields of a record, empty when it is text, and why it is text although it should be more.
    fn fields(&self, piece: &Piece<'_>) -> (Map<String, Value>, Option<Cow<'static, str>>) {
        if let Some(problem) = piece.problem {
            return (Map::new(), Some(problem.into()));
        }
        let text = &*piece.text;
        match self.format {
            Format::Text => (Map::new(), None),
            Format::Json => match object(text) {
                Ok(fields) => (fields, None),
                Err(problem) => (Map::new(), Some(problem)),
            },
            Format::Logfmt => match logfmt::parse(text) {
                Ok(fields) => (fields, None),
                Err(problem) => (Map::new(), Some(format!("not logfmt: {problem}").into())),
            },
            Format::Cri if text.starts_with('{') => (object(text).unwrap_or_default(), None),
            Format::Cri => (Map::new(), None),
        }
    }

    /// Takes the time out: `None` when there is none, `Some(None)` when it cannot be read and so stays where it is.
    fn take_time(&self, fields: &mut Map<String, Value>, now: i64) -> Option<Option<i64>> {
        let found = |path: &&super::FieldPath| path.find(fields).is_some_and(is_time);
        let path = self.mapping.timestamp.iter().find(found)?;
        let time = self.timestamps.read(path.find(fields)?, now);
        if time.is_some() {
            path.take(fields);
        }
        Some(time)
    }
}

fn is_time(value: &Value) -> bool {
    value.is_string() || value.is_number()
}

fn object(text: &str) -> Result<Map<String, Value>, Cow<'static, str>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("not a JSON object".into()),
        // What the library says holds places, and nothing of the content.
        Err(error) => Err(format!("not JSON: {error}").into()),
    }
}

impl Report {
    fn count(&mut self, flags: Flags, problem: bool) {
        self.parse_errors += u64::from(problem);
        self.bad_timestamps += u64::from(flags.has(Flags::BAD_TIMESTAMP));
        self.invalid_utf8 += u64::from(flags.has(Flags::INVALID_UTF8));
        self.truncated += u64::from(flags.has(Flags::TRUNCATED));
    }
}
