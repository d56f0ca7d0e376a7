//! Text patterns that were checked but not compiled.

use std::sync::Arc;

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
        Self::builder(&self.0).build().expect("checked when the pattern was made")
    }
}

/// `/users/{id}/orders`: a whole path in which `{name}` stands for one non-empty element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PathTemplate {
    /// As it was written.
    pub source: Arc<str>,
    /// The elements between the slashes.
    pub segments: Vec<TemplateSegment>,
}

impl PathTemplate {
    /// A template whose elements were accepted.
    pub fn new(source: Arc<str>, segments: Vec<TemplateSegment>) -> Self {
        Self { source, segments }
    }
}

/// One element of a [`PathTemplate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TemplateSegment {
    /// This text, in canonical form.
    Literal(Arc<str>),
    /// Any one non-empty element.
    Variable(Arc<str>),
}
