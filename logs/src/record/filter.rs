//! `drop` and `keep`: which records are sent at all.

use regex::Regex;
use serde_json::{Map, Value};

use super::mapping::FieldPath;

/// What a record must have.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The field, as the app writes it; the whole text of the record when there is none.
    pub field: Option<FieldPath>,
    /// What its value must match somewhere.
    pub pattern: Regex,
}

/// Which records are sent.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A record that one of these matches is not sent.
    pub drop: Vec<Rule>,
    /// When there are any, only a record that one of these matches is sent.
    pub keep: Vec<Rule>,
}

impl Filter {
    /// Whether a record is sent.
    pub fn sends(&self, text: &str, fields: &Map<String, Value>) -> bool {
        let matches = |rule: &Rule| rule.matches(text, fields);
        !self.drop.iter().any(matches) && (self.keep.is_empty() || self.keep.iter().any(matches))
    }
}

impl Rule {
    fn matches(&self, text: &str, fields: &Map<String, Value>) -> bool {
        match self.field.as_ref().map(|field| field.find(fields)) {
            None => self.pattern.is_match(text),
            Some(Some(Value::String(value))) => self.pattern.is_match(value),
            Some(Some(value)) => self.pattern.is_match(&value.to_string()),
            Some(None) => false,
        }
    }
}
