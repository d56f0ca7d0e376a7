//! The text of a file as a stream of documents: line ends, line numbers, and inserting and removing
//! documents.

use crate::{
    input::Input,
    problem::{Problem, Wrong},
    yaml::{
        Document, Syntax,
        edit::Changed,
        splice::{Splice, line_behind},
        value::{Value, block_entry},
    },
};

/// A text to process.
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    /// The text to process: the input, or the input without its injections.
    pub(crate) text: &'a str,
    pub(crate) newline: &'static str,
    pub(crate) lines: Lines<'a>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(input: &'a Input, undone: Option<&'a Changed>) -> Self {
        let text = undone.map_or(input.text.as_str(), |undone| &undone.text);
        Self {
            name: &input.name,
            text,
            newline: newline_of(text),
            lines: Lines::new(&input.text, undone),
        }
    }
}

/// The line end of a text: that of its first line.
pub(crate) fn newline_of(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Maps line numbers of a text without its injections to those of the input.
pub(crate) struct Lines<'a> {
    undone: Option<(&'a Changed, Vec<usize>, Vec<usize>)>,
}

impl<'a> Lines<'a> {
    fn new(input: &str, undone: Option<&'a Changed>) -> Self {
        let undone = undone.map(|changed| (changed, starts(&changed.text), starts(input)));
        Self { undone }
    }

    /// The line in the input, from 1.
    pub(crate) fn original(&self, line: usize) -> usize {
        let Some((changed, new, old)) = &self.undone else {
            return line;
        };
        let Some(start) = line.checked_sub(1).and_then(|index| new.get(index)) else {
            return line;
        };
        let before = changed.before(*start);
        old.partition_point(|start| *start <= before)
    }
}

fn starts(text: &str) -> Vec<usize> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

/// Text that is not YAML, or has a duplicate key.
pub(crate) fn syntax_problem(source: &Source<'_>, syntax: &Syntax) -> Problem {
    let message = format!("{} (column {})", syntax.message, syntax.column);
    let wrong = Wrong::new(source.lines.original(syntax.line), message, "");
    wrong.at(source.name, "")
}

/// Inserts a document after another one.
///
/// # Errors
/// The following text begins with directives, which would then be inside of a document.
pub(crate) fn add_document(
    splice: &mut Splice<'_, '_>,
    document: &Document<'_>,
    object: &Value,
) -> Result<(), Wrong> {
    let text = splice.tree.text;
    let place = end_of(text, document);
    if text[place..].trim_start().starts_with('%') {
        return Err(Wrong::new(
            document.tree.node(0).line,
            "a document with a `%` directive follows, and no ConfigMap can be put in before it",
            "remove the directive, or name a ConfigMap of yours: --set config=configmap/NAME",
        ));
    }
    let mut lines = vec!["---".to_owned()];
    if let Value::Map(entries) = object {
        for (key, value) in entries {
            block_entry(key, value, 0, &mut lines);
        }
    }
    splice.add_lines(place, &lines);
    Ok(())
}

/// The start of the next document: a line with `---` or a directive, or the end of the text.
pub(crate) fn end_of(text: &str, document: &Document<'_>) -> usize {
    let mut at = line_behind(text, document.tree.node(0).end);
    while at < text.len() {
        let rest = &text[at..];
        let marker = |marker: &str| {
            rest.strip_prefix(marker).is_some_and(|behind| {
                behind.is_empty() || behind.starts_with([' ', '\t', '\r', '\n'])
            })
        };
        if marker("---") || rest.starts_with('%') {
            return at;
        }
        at += rest.find('\n').map_or(rest.len(), |end| end + 1);
    }
    at
}
