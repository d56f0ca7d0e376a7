//! What was done with each object, and why.

use std::fmt;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The name of the file.
    pub file: String,
    /// The first line of the object, from 1.
    pub line: usize,
    /// Kind, namespace and name.
    pub object: String,
    /// What was done.
    pub action: Action,
    /// Details, or the reason.
    pub detail: String,
}

/// What was done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The sidecar was inserted.
    Injected,
    /// It was changed because of the sidecar.
    Changed,
    /// It was created.
    Added,
    /// It is as it was before the injection.
    Restored,
    /// It was created by an injection, and was removed.
    Removed,
    /// It could have a sidecar, and gets none.
    Skipped,
    /// It needs no change.
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
