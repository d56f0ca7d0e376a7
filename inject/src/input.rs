//! Manifests that go in, and what comes out of them.

use crate::report::Line;

/// A file, or stdin.
#[derive(Debug, Clone)]
pub struct Input {
    /// The name for messages.
    pub name: String,
    /// Its text, YAML or JSON.
    pub text: String,
}

/// The result for all inputs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The new text of each input, in the same order.
    pub texts: Vec<String>,
    /// What was done with each object, in the order of the input.
    pub report: Vec<Line>,
}
