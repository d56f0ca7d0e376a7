//! What is wrong with the input: which object, where, and what to do.

use std::fmt;

/// One problem. While there is one, nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file as it was named; empty for what is wrong with the options.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Kind, namespace and name, such as `Deployment shop/web`; empty where there is no object.
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

/// A problem within an object, before it is known where that object stands.
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
