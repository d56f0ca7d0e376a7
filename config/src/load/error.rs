//! Why a configuration was rejected.

use std::{io, path::PathBuf};

use crate::{
    block::{
        SourceText,
        problem::{Place, Problem, Report, Severity, render_text},
    },
    files::content,
};

/// Why a configuration was rejected.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {}; {}", path.display(), content::reason(source), content::remedy(source))]
    Unreadable {
        /// The name of the file, as given.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file has errors.
    #[error("{}", summary(problems))]
    Rejected {
        /// Errors and warnings by position; at least one error.
        problems: Vec<Problem>,
        /// The text with the problems.
        text: SourceText,
    },
}

impl LoadError {
    /// One error about the file as a whole.
    pub(super) fn alone(
        name: &str,
        text: &str,
        code: &'static str,
        message: &str,
        help: &str,
    ) -> Self {
        let mut report = Report::new(SourceText::new(name, text));
        report.error(&Place::root(), code, message, help);
        let (problems, text) = report.finish();
        Self::Rejected { problems, text }
    }

    /// The problems; an unreadable file is one problem.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Rejected { problems, .. } => problems.clone(),
            Self::Unreadable { path, source } => {
                let mut report = Report::new(SourceText::new(&path.display().to_string(), ""));
                let message = format!("cannot read the file: {}", content::reason(source));
                report.error(
                    &Place::root(),
                    "unreadable-file",
                    message,
                    content::remedy(source),
                );
                report.finish().0
            }
        }
    }

    /// All problems as text.
    pub fn render(&self, color: bool) -> String {
        let text = match self {
            Self::Rejected { text, .. } => text.text(),
            Self::Unreadable { .. } => "",
        };
        render_text(&self.problems(), text, color)
    }
}

fn summary(problems: &[Problem]) -> String {
    let mut errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let first = errors.next().map(ToString::to_string).unwrap_or_default();
    match errors.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}
