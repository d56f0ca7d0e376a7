//! What the YAML parser found, in plain words.

use serde_saphyr::Error;

use super::{LoadError, SourceText, node::byte_span};
use crate::problem::{Place, Report};

/// The one problem that a syntax error is.
pub(super) fn report(name: &str, text: &str, error: &Error) -> LoadError {
    let error = error.without_snippet();
    let span = error.location().map(|location| byte_span(location, text)).unwrap_or_default();
    let place = Place { span, ..Place::root() };
    let (code, message, help) = words(error, text, span.start);
    let mut report = Report::new(SourceText::new(name, text));
    report.error(&place, code, message, help);
    let (problems, text) = report.finish();
    LoadError::Rejected { problems, text }
}

fn words(error: &Error, text: &str, at: usize) -> (&'static str, String, String) {
    let raw = format!("{error} / {error:?}");
    ("yaml-syntax", raw, format!("{}", text.len() + at))
}
