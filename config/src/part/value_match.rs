//! What a header, a parameter or a claim must be.

use std::sync::Arc;

use serde_json::Value;

use crate::block::{
    At, Either, Flag, block,
    problem::Report,
    show::{Object, text},
};

/// What a header, query parameter or claim must be; a string is the exact value.
pub(crate) type MatchValue = Either<String, ValueMatchBlock>;

block! {
    /// What a header, query parameter or claim must be.
    ValueMatchBlock {
        /// A regular expression for the whole value.
        "regex" regex: String,
        /// `true`: any value, as long as it is there.
        "present" present: Flag,
    }
    one_of ["regex", "present"]
}

/// What a header or parameter must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// Exactly this.
    Exact(Arc<str>),
    /// Matches as a whole.
    Regex(Pattern),
    /// Anything, as long as it is there.
    Present,
}

/// A regular expression that compiles; anchored at both ends when it is used.
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

/// Reads a regular expression.
pub(crate) fn pattern(text: &At<String>, report: &mut Report) -> Option<Pattern> {
    let error = match Pattern::new(&text.value) {
        Ok(pattern) => return Some(pattern),
        Err(error) => error.to_string(),
    };
    // The library draws the pattern over several lines; its last line says what is wrong.
    let reason = error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let message = format!("{:?} is not a regular expression: {reason}", text.value);
    let help = "it is matched against the whole value; write \\ before a character that is meant literally";
    report.error(&text.place, "bad-regex", message, help);
    None
}

/// Reads what a header, parameter or claim must be.
pub(crate) fn accept(written: &MatchValue, report: &mut Report) -> ValueMatch {
    let block = match written {
        Either::Short(text) => return ValueMatch::Exact(text.as_str().into()),
        Either::Map(block) => block,
    };
    if let Some(present) = block.present.as_ref().filter(|present| !present.value.0) {
        let help = "write `present: true`; that something is absent cannot be matched";
        report.error(
            &present.place,
            "bad-value",
            "`present` is only ever true",
            help,
        );
    }
    let regex = block.regex.as_ref().and_then(|text| pattern(text, report));
    regex.map_or(ValueMatch::Present, ValueMatch::Regex)
}

/// Shows it.
pub(crate) fn show(value: &ValueMatch) -> Value {
    match value {
        ValueMatch::Exact(value) => text(value),
        ValueMatch::Regex(pattern) => Object::new().with("regex", text(pattern.as_str())).into(),
        ValueMatch::Present => Object::new().with("present", true).into(),
    }
}
