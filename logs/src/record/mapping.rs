//! Which fields of the app mean what: severity, body, time, trace.

use serde_json::{Map, Value};

/// The name of a field: a key as it stands, or keys within each other, separated by dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Box<str>);

impl FieldPath {
    /// From its name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The value. A key that has the dots in its name comes before keys within each other.
    pub fn find<'a>(&self, fields: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(value) = fields.get(&*self.0) {
            return Some(value);
        }
        let (first, rest) = self.0.split_once('.')?;
        rest.split('.')
            .try_fold(fields.get(first)?, |value, key| value.as_object()?.get(key))
    }

    /// Takes the value out; an object that is empty then goes with it.
    pub fn take(&self, fields: &mut Map<String, Value>) -> Option<Value> {
        if let Some(value) = fields.shift_remove(&*self.0) {
            return Some(value);
        }
        take_within(&self.0, fields)
    }
}

fn take_within(path: &str, fields: &mut Map<String, Value>) -> Option<Value> {
    let (first, rest) = path.split_once('.')?;
    let inner = fields.get_mut(first)?.as_object_mut()?;
    let value = match inner.shift_remove(rest) {
        Some(value) => value,
        None => take_within(rest, inner)?,
    };
    if inner.is_empty() {
        fields.shift_remove(first);
    }
    Some(value)
}

/// Where each meaning is looked for; the first field that is there counts.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// How serious the record is.
    pub severity: Vec<FieldPath>,
    /// The message.
    pub body: Vec<FieldPath>,
    /// When it happened.
    pub timestamp: Vec<FieldPath>,
    /// The trace that it belongs to.
    pub trace_id: Vec<FieldPath>,
    /// The span that it belongs to.
    pub span_id: Vec<FieldPath>,
}

impl Default for Mapping {
    /// The names that the loggers of most languages use.
    fn default() -> Self {
        let paths = |names: &[&str]| names.iter().copied().map(FieldPath::new).collect();
        Self {
            severity: paths(&["log.level", "level", "severity", "lvl"]),
            body: paths(&["message", "msg", "body"]),
            timestamp: paths(&["@timestamp", "timestamp", "time", "ts"]),
            trace_id: paths(&["trace.id", "trace_id", "traceId"]),
            span_id: paths(&["span.id", "span_id", "spanId"]),
        }
    }
}

impl Mapping {
    /// The same with one field of the user's own for a meaning.
    pub fn one(name: &str) -> Vec<FieldPath> {
        vec![FieldPath::new(name)]
    }
}

/// The text of a scalar; `None` for lists and objects.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Takes out the first field whose value is a scalar; others stay where they are.
pub(super) fn take_scalar(paths: &[FieldPath], fields: &mut Map<String, Value>) -> Option<String> {
    let path = paths.iter().find(|path| {
        path.find(fields)
            .is_some_and(|value| scalar(value).is_some())
    })?;
    match path.take(fields)? {
        Value::String(text) => Some(text),
        value => scalar(&value),
    }
}
