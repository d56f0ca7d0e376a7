//! Problems of a configuration file: position, cause, and fix.
//!
//! A [`Problem`] is plain data. [`render_text`] renders problems for people, [`render_json`] for
//! programs.

mod render;
mod suggest;

pub use render::{render_json, render_text};
pub(crate) use suggest::closest;

use std::{collections::HashSet, fmt, sync::Arc};

use serde::Serialize;

use crate::block::{SourceText, Span};

/// Severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is rejected.
    Error,
    /// The file is accepted; the warning should be reviewed.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem. Its JSON form is an interface: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Problem {
    /// Whether the file is rejected because of it.
    pub severity: Severity,
    /// A short stable name in kebab case, such as `unknown-key`.
    pub code: &'static str,
    /// The file name given on the command line.
    pub file: String,
    /// First line, from 1.
    pub line: usize,
    /// First column in characters, from 1.
    pub column: usize,
    /// Line of the end, from 1.
    pub end_line: usize,
    /// Column after the last character, from 1.
    pub end_column: usize,
    /// Position in the structure, such as `routes[2].timeouts.request`; empty for the file as a
    /// whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it; may be empty.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}: ",
            self.file, self.line, self.column, self.severity
        )?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

/// Position of a value: its bytes in the file and its path in the structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) span: Span,
    pub(crate) path: Arc<str>,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn root() -> Self {
        Self {
            span: Span::default(),
            path: "".into(),
        }
    }

    /// `path.key`, or `path["a.b"]` where the key is not a plain word.
    pub(crate) fn key(&self, key: &str, span: Span) -> Self {
        let plain = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let path = match (self.path.is_empty(), plain) {
            (true, true) => key.into(),
            (false, true) => format!("{}.{key}", self.path).into(),
            (_, false) => format!("{}[{key:?}]", self.path).into(),
        };
        Self { span, path }
    }

    /// `path[index]`.
    pub(crate) fn index(&self, index: usize, span: Span) -> Self {
        Self {
            span,
            path: format!("{}[{index}]", self.path).into(),
        }
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Report {
    source: SourceText,
    problems: Vec<Problem>,
    known: HashSet<(&'static str, Span, String)>,
}

impl Report {
    pub(crate) fn new(source: SourceText) -> Self {
        Self {
            source,
            problems: Vec::new(),
            known: HashSet::new(),
        }
    }

    pub(crate) fn source(&self) -> &SourceText {
        &self.source
    }

    pub(crate) fn error(
        &mut self,
        place: &Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, place, code, message.into(), help.into());
    }

    /// Reports missing keys of a block, at the block or at another of its keys. A key with an
    /// invalid value is not missing: it has an error of its own, which says how to fix it.
    pub(crate) fn missing(
        &mut self,
        place: &Place,
        keys: &[&str],
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let parent = place.path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let unreadable = |key: &&str| {
            let written = [format!("{}.{key}", place.path), format!("{parent}.{key}")];
            written.iter().any(|path| self.has_error_at(path))
        };
        if !keys.iter().any(unreadable) {
            self.error(place, "missing-key", message, help);
        }
    }

    /// Whether the value at this path, or a part of it, was rejected.
    fn has_error_at(&self, path: &str) -> bool {
        self.problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .any(|problem| {
                problem
                    .path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
    }

    pub(crate) fn warning(
        &mut self,
        place: &Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, place, code, message.into(), help.into());
    }

    fn push(
        &mut self,
        severity: Severity,
        place: &Place,
        code: &'static str,
        message: String,
        help: String,
    ) {
        let (line, column) = self.source.position(place.span.start);
        let (end_line, end_column) = self.source.position(place.span.end);
        let file = self.source.name().to_owned();
        let path = place.path.to_string();
        let problem = Problem {
            severity,
            code,
            file,
            line,
            column,
            end_line,
            end_column,
            path,
            message,
            help,
        };
        // An aliased block is read once for every use; its mistake is reported once.
        let key = (code, place.span, problem.message.clone());
        if place.span.is_empty() || self.known.insert(key) {
            self.problems.push(problem);
        }
    }

    /// Redacts a span wherever the source is shown.
    pub(crate) fn hide(&mut self, span: Span) {
        self.source.hide(span);
    }

    /// `line:column`, for messages that name a second position.
    pub(crate) fn spot(&self, place: &Place) -> String {
        let (line, column) = self.source.position(place.span.start);
        format!("{line}:{column}")
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// The problems by position, and their source text.
    pub(crate) fn finish(mut self) -> (Vec<Problem>, SourceText) {
        self.problems
            .sort_by_key(|p| (p.line, p.column, p.severity));
        (self.problems, self.source)
    }
}
