//! Problems in the input: which object, where, and what to do.

use std::fmt;

/// One problem. If there is any, nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The name of the file; empty for problems of the options.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Kind, namespace and name, such as `Deployment shop/web`; empty if no object is concerned.
    pub object: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:{}: ", self.file, self.line)?;
        }
        f.write_str("error: ")?;
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

/// A problem within an object, before the position of the object is known.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) line: usize,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Wrong {
    pub(crate) fn new(line: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            help: help.into(),
        }
    }

    pub(crate) fn at(self, file: &str, object: &str) -> Problem {
        Problem {
            file: file.to_owned(),
            line: self.line,
            object: object.to_owned(),
            message: self.message,
            help: self.help,
        }
    }
}
