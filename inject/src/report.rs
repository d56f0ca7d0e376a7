//! What was done with each object, and why.

use std::fmt;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The file as it was named.
    pub file: String,
    /// Where the object begins, from 1.
    pub line: usize,
    /// Kind, namespace and name.
    pub object: String,
    /// What was done.
    pub action: Action,
    /// How, or why not.
    pub detail: String,
}

/// What was done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It has the sidecar now.
    Injected,
    /// It was changed because of the sidecar.
    Changed,
    /// It was made.
    Added,
    /// It is as it was before the injection.
    Restored,
    /// It was made by an injection, and is gone.
    Removed,
    /// It could have a sidecar, and gets none.
    Skipped,
    /// It is none of our business.
    Untouched,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Injected => "injected",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Restored => "restored",
            Self::Removed => "removed",
            Self::Skipped => "skipped",
            Self::Untouched => "untouched",
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file, self.line, self.object, self.action
        )?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}
