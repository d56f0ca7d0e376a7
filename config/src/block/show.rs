//! Single values as they are written in the file.

use std::{path::Path, time::Duration};

use serde_json::{Map, Value};

use crate::block::{Flag, Int, Percent, Share, Time, Word, Words, environment::escape, word_of};

/// An object that leaves out what is absent.
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

/// A text in which nothing is a variable any more.
pub(crate) fn text(text: &str) -> Value {
    escape(text).into()
}

/// A duration of the model, which came from GEP-2257 and fits it again.
pub(crate) fn time(duration: Duration) -> Value {
    let mut rest = duration.as_millis();
    let mut out = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        // The largest unit takes five digits; what four times 99999h leave over is no timeout of this world.
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

/// A duration, or `0s` where it is switched off.
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

/// A share of 100 as a plain number, whole where it is.
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

/// A list, absent where it is empty.
pub(crate) fn list<T>(items: &[T], show: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    (!items.is_empty()).then(|| items.iter().map(show).collect())
}

/// A path of a file.
pub(crate) fn path(path: &Path) -> Value {
    text(&path.to_string_lossy())
}

/// What may stand behind a key, shown from a value that was accepted there.
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
