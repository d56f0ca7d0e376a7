//! Rendering of single values as they are written in the file.

use std::{path::Path, time::Duration};

use serde_json::{Map, Value};

use crate::block::{Flag, Int, Percent, Share, Time, Word, Words, environment::escape, word_of};

/// An object without absent members.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

/// A text, escaped so that no part of it is expanded as a variable.
pub(crate) fn text(text: &str) -> Value {
    escape(text).into()
}

/// A duration of the model. It was read as GEP-2257, so it can be written as GEP-2257.
pub(crate) fn time(duration: Duration) -> Value {
    let mut rest = duration.as_millis();
    let mut out = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        // The largest unit has five digits; a remainder above four times 99999h is not a realistic
        // timeout.
        let count = (rest / millis).min(99_999);
        rest -= count * millis;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    if out.is_empty() {
        "0s".into()
    } else {
        out.into()
    }
}

/// A duration, or `0s` when disabled.
pub(crate) fn time_or_off(duration: Option<Duration>) -> Value {
    time(duration.unwrap_or_default())
}

/// A size in the largest unit that divides it.
pub(crate) fn size(bytes: u64) -> Value {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift).into();
        }
    }
    format!("{bytes}B").into()
}

/// A percentage as a plain number, without a fraction if it is whole.
pub(crate) fn percent(share: Percent) -> Value {
    let parts = share.per_million();
    match parts.is_multiple_of(10_000) {
        true => (parts / 10_000).into(),
        false => (f64::from(parts) / 10_000.0).into(),
    }
}

/// The word for a value.
pub(crate) fn word<T: Words + PartialEq>(value: T) -> Value {
    word_of(value).into()
}

/// A list, absent when empty.
pub(crate) fn list<T>(items: &[T], show: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    (!items.is_empty()).then(|| items.iter().map(show).collect())
}

/// A path of a file.
pub(crate) fn path(path: &Path) -> Value {
    text(&path.to_string_lossy())
}

/// Renders the accepted value of a key.
pub(crate) trait Shows<T> {
    /// The value as it would be written.
    fn show(value: &T) -> Value;
}

impl<const MIN: u64, const MAX: u64, T: Copy + Into<Value>> Shows<T> for Int<MIN, MAX> {
    fn show(value: &T) -> Value {
        (*value).into()
    }
}

impl Shows<bool> for Flag {
    fn show(value: &bool) -> Value {
        (*value).into()
    }
}

impl Shows<Duration> for Time {
    fn show(value: &Duration) -> Value {
        time(*value)
    }
}

impl Shows<Option<Duration>> for Time {
    fn show(value: &Option<Duration>) -> Value {
        time_or_off(*value)
    }
}

impl Shows<Percent> for Share {
    fn show(value: &Percent) -> Value {
        percent(*value)
    }
}

impl<T: Words + PartialEq> Shows<T> for Word<T> {
    fn show(value: &T) -> Value {
        word(*value)
    }
}
