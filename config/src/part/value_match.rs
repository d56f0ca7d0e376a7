//! Conditions on a header, query parameter or claim.

use std::sync::Arc;

use serde_json::Value;

use crate::block::{
    At, Either, Flag, block,
    problem::Report,
    show::{Object, text},
};

/// Condition on a header, query parameter or claim; a string is the exact value.
pub(crate) type MatchValue = Either<String, ValueMatchBlock>;

block! {
    /// Condition on a header, query parameter or claim.
    ValueMatchBlock {
        /// A regular expression for the whole value.
        "regex" regex: String,
        /// `true`: any value; the item must be present.
        "present" present: Flag,
    }
    one_of ["regex", "present"]
}

/// Condition on a header, query parameter or claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// Exactly this value.
    Exact(Arc<str>),
    /// The regular expression matches the whole value.
    Regex(Pattern),
    /// Any value.
    Present,
}

/// A regular expression that compiles; anchored at both ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks that `source` compiles, anchored, within the size limit.
    ///
    /// # Errors
    /// The message of the regex library.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        Self::builder(source).build().map(|_| Self(source.into()))
    }

    fn builder(source: &str) -> regex::RegexBuilder {
        let mut builder = regex::RegexBuilder::new(&format!("^(?:{source})$"));
        builder.size_limit(1 << 20);
        builder
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compiles the anchored expression.
    pub fn compile(&self) -> regex::Regex {
        Self::builder(&self.0)
            .build()
            .expect("checked when the pattern was made")
    }
}

/// Parses a regular expression.
pub(crate) fn pattern(text: &At<String>, report: &mut Report) -> Option<Pattern> {
    let error = match Pattern::new(&text.value) {
        Ok(pattern) => return Some(pattern),
        Err(error) => error.to_string(),
    };
    // The library shows the pattern over several lines; the last line has the error.
    let reason = error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let message = format!(
        "{:?} is not a valid regular expression: {reason}",
        text.value
    );
    let help =
        "the expression must match the whole value; write \\ before a literal special character";
    report.error(&text.place, "bad-regex", message, help);
    None
}

/// Validates a condition on a header, query parameter or claim.
pub(crate) fn accept(written: &MatchValue, report: &mut Report) -> ValueMatch {
    let block = match written {
        Either::Short(text) => return ValueMatch::Exact(text.as_str().into()),
        Either::Map(block) => block,
    };
    if let Some(present) = block.present.as_ref().filter(|present| !present.value.0) {
        let help = "write `present: true`; a match on absence is not supported";
        report.error(&present.place, "bad-value", "`present` must be true", help);
    }
    let regex = block.regex.as_ref().and_then(|text| pattern(text, report));
    regex.map_or(ValueMatch::Present, ValueMatch::Regex)
}

/// Renders it.
pub(crate) fn show(value: &ValueMatch) -> Value {
    match value {
        ValueMatch::Exact(value) => text(value),
        ValueMatch::Regex(pattern) => Object::new().with("regex", text(pattern.as_str())).into(),
        ValueMatch::Present => Object::new().with("present", true).into(),
    }
}
