//! Writes one record as a JSON object with names of the Elastic Common Schema.
//!
//! Names that hold dots are written as they are: Elasticsearch reads `"log.level"` and `{"log":{"level":…}}` as the same field.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Flags;

/// Names that a record of ours may have.
const OWN: [&str; 11] = [
    "@timestamp",
    "message",
    "log.level",
    "log.file.path",
    "log.offset",
    "log.flags",
    "log.parse_error",
    "trace.id",
    "span.id",
    "stream",
    "app",
];

/// Fields that every record of a source has, ready to be written.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    written: Vec<u8>,
    /// Names that a field of the app must not have.
    taken: BTreeSet<String>,
    /// Names that a field of the app may have only with an object behind it, because ours lie within.
    roots: BTreeSet<String>,
}

/// What is known of a record beside the fields of the app.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) time: i64,
    pub(super) severity: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    pub(super) trace_id: Option<&'a str>,
    pub(super) span_id: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) offset: u64,
    pub(super) stream: Option<&'static str>,
    pub(super) flags: Flags,
    pub(super) problem: Option<&'a str>,
}

impl Labels {
    /// From names and values.
    pub fn new(fields: &BTreeMap<String, String>) -> Self {
        let mut labels = Self::default();
        for (name, value) in fields {
            labels.written.push(b',');
            string(&mut labels.written, name);
            labels.written.push(b':');
            string(&mut labels.written, value);
        }
        let names = OWN.into_iter().chain(fields.keys().map(String::as_str));
        for name in names {
            labels.taken.insert(name.to_owned());
            for (at, _) in name.match_indices('.') {
                labels.roots.insert(name[..at].to_owned());
            }
        }
        labels
    }

    fn clashes(&self, name: &str, value: &Value) -> bool {
        self.taken.contains(name) || (!value.is_object() && self.roots.contains(name))
    }

    /// Writes the object. A field of the app whose name is taken is written as `app.NAME`.
    pub(super) fn write(&self, known: &Known<'_>, fields: &Map<String, Value>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"@timestamp\":\"");
        rfc3339(known.time, out);
        out.push(b'"');
        for (name, value) in [
            ("log.level", known.severity),
            ("message", known.message),
            ("trace.id", known.trace_id),
            ("span.id", known.span_id),
        ] {
            text(out, name, value);
        }
        for (name, value) in fields {
            out.push(b',');
            if self.clashes(name, value) {
                string(out, &format!("app.{name}"));
            } else {
                string(out, name);
            }
            out.push(b':');
            json(out, value);
        }
        text(out, "log.file.path", Some(known.path));
        out.extend_from_slice(b",\"log.offset\":");
        // Writing to memory does not fail.
        let _ = write!(out, "{}", known.offset);
        text(out, "stream", known.stream);
        if !known.flags.is_empty() {
            out.extend_from_slice(b",\"log.flags\":");
            json(out, &known.flags.names().collect::<Value>());
        }
        text(out, "log.parse_error", known.problem);
        out.extend_from_slice(&self.written);
        out.push(b'}');
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        string(out, value);
    }
}

fn string(out: &mut Vec<u8>, value: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

fn json(out: &mut Vec<u8>, value: &Value) {
    let _ = serde_json::to_writer(out, value);
}

/// Writes a time with milliseconds, or with nanoseconds where it has them.
pub fn rfc3339(time: i64, out: &mut Vec<u8>) {
    let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = jiff::tz::Offset::UTC.to_datetime(time);
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    let nanos = civil.subsec_nanosecond();
    let _ = if nanos % 1_000_000 == 0 {
        write!(out, ".{:03}Z", nanos / 1_000_000)
    } else {
        write!(out, ".{nanos:09}Z")
    };
}
