//! Replaces what must not leave the pod, before anything is kept or sent.

use std::borrow::Cow;

use regex::{Regex, RegexSet};
use serde_json::{Map, Value};

/// What stands in its place.
const REPLACEMENT: &str = "[redacted]";

/// Patterns of secrets. They are applied to every string, number and field name of a record, not to the raw line: a
/// replacement must not break its JSON, and an escape must not hide a secret.
#[derive(Debug, Clone, Default)]
pub struct Redact {
    any: Option<RegexSet>,
    each: Vec<Regex>,
}

impl Redact {
    /// From accepted patterns.
    ///
    /// # Errors
    /// A pattern is not a regular expression, or all together are too large.
    pub fn new(patterns: &[String]) -> Result<Self, regex::Error> {
        let any = if patterns.is_empty() {
            None
        } else {
            Some(RegexSet::new(patterns)?)
        };
        let each = patterns
            .iter()
            .map(|pattern| Regex::new(pattern))
            .collect::<Result<_, _>>()?;
        Ok(Self { any, each })
    }

    /// The text without its secrets, and whether it had any.
    pub fn text<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        if !self.any.as_ref()?.is_match(text) {
            return None;
        }
        let mut clean = Cow::Borrowed(text);
        for pattern in &self.each {
            if let Cow::Owned(replaced) = pattern.replace_all(&clean, regex::NoExpand(REPLACEMENT))
            {
                clean = Cow::Owned(replaced);
            }
        }
        Some(clean)
    }

    /// Cleans all fields; how many values and names had a secret.
    pub fn fields(&self, fields: &mut Map<String, Value>) -> u64 {
        if self.any.is_none() {
            return 0;
        }
        let mut count = fields.values_mut().map(|value| self.value(value)).sum();
        if fields.keys().any(|key| self.text(key).is_some()) {
            let old = std::mem::take(fields);
            for (key, value) in old {
                let clean = self.text(&key).map(Cow::into_owned);
                count += u64::from(clean.is_some());
                fields.insert(clean.unwrap_or(key), value);
            }
        }
        count
    }

    fn value(&self, value: &mut Value) -> u64 {
        match value {
            Value::String(text) => self.replaced(text),
            Value::Number(number) => {
                let mut text = number.to_string();
                let count = self.replaced(&mut text);
                if count > 0 {
                    *value = Value::String(text);
                }
                count
            }
            Value::Array(items) => items.iter_mut().map(|item| self.value(item)).sum(),
            Value::Object(fields) => self.fields(fields),
            Value::Null | Value::Bool(_) => 0,
        }
    }

    fn replaced(&self, text: &mut String) -> u64 {
        let Some(clean) = self.text(text).map(Cow::into_owned) else {
            return 0;
        };
        *text = clean;
        1
    }
}
