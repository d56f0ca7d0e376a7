//! Plain messages for errors of the YAML parser.

use serde_saphyr::Error;

use crate::{
    block::{
        SourceText, Span,
        environment::reference_length,
        node::byte_span,
        problem::{Place, Report},
    },
    load::LoadError,
};

const SYNTAX: &str = "yaml-syntax";
const TOO_COMPLEX: &str = "too-complex";

/// Parser messages and their replacement: part of the parser's message, code, message, help.
const WORDS: [(&str, &str, &str, &str); 20] = [
    (
        "tabs disallowed",
        SYNTAX,
        "a tab in the indentation",
        "indent with spaces",
    ),
    (
        "did not find expected key",
        SYNTAX,
        "the indentation does not match the lines above",
        "align all keys of a map in the same column",
    ),
    (
        "did not find expected '-'",
        SYNTAX,
        "the indentation does not match the list above",
        "align the `- ` of all items of a list in the same column",
    ),
    (
        "mapping values are not allowed",
        SYNTAX,
        "unexpected `:`",
        "start a new, indented line after the first `:`, or put the value in quotes",
    ),
    (
        "expected ',' or '}'",
        SYNTAX,
        "a `{` is not closed, or a `,` is missing",
        "add the missing character before this position",
    ),
    (
        "expected ',' or ']'",
        SYNTAX,
        "a `[` is not closed, or a `,` is missing",
        "add the missing character before this position",
    ),
    (
        "null into string",
        SYNTAX,
        "no key before the `:`",
        "write `key: value`",
    ),
    (
        "expected string scalar",
        SYNTAX,
        "a list or map is used as key",
        "write a plain word before the `:`",
    ),
    (
        "non-finite float",
        "bad-value",
        "this number is not supported",
        "write a plain number",
    ),
    (
        "recursive references",
        SYNTAX,
        "this alias refers to a value that contains it",
        "write the value itself in place of the alias",
    ),
    (
        "unexpected character: `\\u{",
        SYNTAX,
        "unexpected control character",
        "remove it, or write it as \"\\xNN\" in double quotes",
    ),
    (
        "recursion limit",
        TOO_COMPLEX,
        "the nesting is too deep",
        "a configuration needs at most 10 levels",
    ),
    (
        "unclosed quote",
        SYNTAX,
        "a quote is not closed",
        "close it, or remove it",
    ),
    (
        "unexpected end of stream",
        SYNTAX,
        "the file ends in the middle of a value",
        "close the quote or bracket",
    ),
    (
        "unknown anchor",
        SYNTAX,
        "this alias has no anchor",
        "write `&name` at the value before `*name` is used",
    ),
    (
        "multiple YAML documents",
        "many-documents",
        "a second YAML document starts here",
        "keep one document, and remove the `---`",
    ),
    (
        "Depth",
        TOO_COMPLEX,
        "the nesting is too deep",
        "a configuration needs at most 10 levels",
    ),
    (
        "RecursionLimit",
        TOO_COMPLEX,
        "the nesting is too deep",
        "a configuration needs at most 10 levels",
    ),
    (
        "alias replay limit",
        TOO_COMPLEX,
        "aliases make the file too large",
        "write values in place of aliases, or use fewer aliases",
    ),
    (
        "budget",
        TOO_COMPLEX,
        "the file has too many values",
        "a typical configuration has a few hundred lines",
    ),
];

/// A syntax error as the only problem.
pub(super) fn report(name: &str, text: &str, error: &Error) -> LoadError {
    let error = error.without_snippet();
    let source = SourceText::new(name, text);
    let found = error.to_string();
    let span = span(error, &source, &found);
    let bare =
        bare_variable(source.text(), span.start).filter(|_| found.contains("expected ',' or"));
    let mut report = Report::new(source);
    if let Some(bare) = bare {
        let word = report.source().slice(bare);
        let quote = if word.contains('"') { '\'' } else { '"' };
        let message = format!("`{word}` needs quotes inside `{{ }}` and `[ ]`");
        let help = format!("write {quote}{word}{quote}");
        report.error(
            &Place {
                span: bare,
                ..Place::root()
            },
            SYNTAX,
            message,
            help,
        );
        let (problems, text) = report.finish();
        return LoadError::Rejected { problems, text };
    }
    let place = Place {
        span,
        ..Place::root()
    };
    let (code, message, help) = words(&found);
    report.error(&place, code, message, help);
    let (problems, text) = report.finish();
    LoadError::Rejected { problems, text }
}

/// The word around a `${…}` whose brace is at `at`: without quotes, YAML parses that brace as the
/// start of a map.
fn bare_variable(text: &str, at: usize) -> Option<Span> {
    let (before, from) = (text.get(..at)?, text.get(at..)?);
    if !before.ends_with('$') || !from.starts_with('{') {
        return None;
    }
    let ends_word = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
    let start = before.rfind(ends_word).map_or(0, |before| before + 1);
    let line = text[at - 1..].lines().next()?;
    // A reference that is not closed on its line is marked to the end of the line.
    let length = reference_length(line).unwrap_or_else(|| line.trim_end().len());
    let rest = line[length..]
        .find(ends_word)
        .unwrap_or(line.len() - length);
    Some(Span {
        start,
        end: at - 1 + length + rest,
    })
}

/// Scanner errors have a line and column only.
fn span(error: &Error, source: &SourceText, found: &str) -> Span {
    let Some(location) = error.location() else {
        return Span::default();
    };
    let span = byte_span(location, source.text());
    if span.end > 0 {
        return span;
    }
    let number = |number: u64| usize::try_from(number).unwrap_or(1);
    let start = source.offset(number(location.line()), number(location.column()));
    // The scanner stops after the tab.
    let start = if found.contains("tabs disallowed") {
        start.saturating_sub(1)
    } else {
        start
    };
    Span { start, end: start }
}

fn words(found: &str) -> (&'static str, String, &'static str) {
    for (part, code, message, help) in WORDS {
        if found.contains(part) {
            return (code, message.to_owned(), help);
        }
    }
    let what = found.split(" at line ").next().unwrap_or_default();
    (
        SYNTAX,
        format!("this is not YAML: {what}"),
        "put text with special characters in quotes",
    )
}
