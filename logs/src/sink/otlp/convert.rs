//! From a document with ECS names to a record of OTLP.

use serde_json::{Map, Value};

use super::message::{AnyValue, KeyValue, Kind, List, LogRecord, Map as KeyValues, Resource};
use crate::chunk::RecordRef;

/// ECS names that have another name in the semantic conventions. Those of the resource are the same for all records of a pod.
const RESOURCE: [(&str, &str); 6] = [
    ("service.name", "service.name"),
    ("service.version", "service.version"),
    ("service.environment", "deployment.environment.name"),
    ("kubernetes.pod.name", "k8s.pod.name"),
    ("kubernetes.namespace", "k8s.namespace.name"),
    ("kubernetes.node.name", "k8s.node.name"),
];

const ATTRIBUTES: [(&str, &str); 2] = [
    ("stream", "log.iostream"),
    ("log.offset", "log.file.offset"),
];

/// The record, and what it is about.
pub(super) fn record(record: &RecordRef<'_>, observed: u64) -> (Resource, LogRecord) {
    let time = u64::try_from(record.time).unwrap_or(0);
    let mut log = LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: observed,
        ..LogRecord::default()
    };
    let mut resource = Resource::default();
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(record.document) else {
        log.body = Some(text(&String::from_utf8_lossy(record.document)));
        return (resource, log);
    };
    fields.shift_remove("@timestamp");
    log.body = fields.shift_remove("message").map(any);
    if let Some(Value::String(severity)) = fields.shift_remove("log.level") {
        log.severity_number = severity_number(&severity);
        log.severity_text = severity;
    }
    log.trace_id = id(&mut fields, "trace.id", 16);
    log.span_id = id(&mut fields, "span.id", 8);
    for (name, new) in RESOURCE {
        if let Some(value) = fields.shift_remove(name) {
            resource.attributes.push(key_value(new.to_owned(), value));
        }
    }
    for (name, value) in fields {
        let renamed = ATTRIBUTES.iter().find(|(old, _)| *old == name);
        let name = renamed.map_or(name, |(_, new)| (*new).to_owned());
        log.attributes.push(key_value(name, value));
    }
    (resource, log)
}

/// Takes an identifier of so many bytes; another text stays an attribute.
fn id(fields: &mut Map<String, Value>, name: &str, length: usize) -> Vec<u8> {
    let bytes = fields.get(name).and_then(Value::as_str).and_then(hex);
    match bytes.filter(|bytes| bytes.len() == length && bytes.iter().any(|byte| *byte != 0)) {
        Some(bytes) => {
            fields.shift_remove(name);
            bytes
        }
        None => Vec::new(),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    });
    bytes.collect()
}

/// `SeverityNumber` of the data model, by the words and numbers that loggers use.
fn severity_number(text: &str) -> i32 {
    match text.to_ascii_lowercase().as_str() {
        "trace" | "finest" | "verbose" | "10" => 1,
        "debug" | "fine" | "20" => 5,
        "info" | "information" | "informational" | "30" => 9,
        "notice" => 10,
        "warn" | "warning" | "40" => 13,
        "error" | "err" | "severe" | "50" => 17,
        "critical" | "crit" | "alert" => 18,
        "fatal" | "panic" | "emerg" | "emergency" | "60" => 21,
        _ => 0,
    }
}

fn key_value(key: String, value: Value) -> KeyValue {
    KeyValue {
        key,
        value: Some(any(value)),
    }
}

fn text(text: &str) -> AnyValue {
    AnyValue {
        value: Some(Kind::Text(text.to_owned())),
    }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Kind::Bool(flag)),
        Value::String(text) => Some(Kind::Text(text)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(whole) => Kind::Int(whole),
            None => Kind::Double(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::Array(items) => Some(Kind::List(List {
            values: items.into_iter().map(any).collect(),
        })),
        Value::Object(fields) => Some(Kind::Map(KeyValues {
            values: fields
                .into_iter()
                .map(|(key, value)| key_value(key, value))
                .collect(),
        })),
    };
    AnyValue { value }
}
