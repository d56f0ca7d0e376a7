//! What the YAML parser found, in plain words.

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

/// What the parser says, and what we say: part of its message, code, message, help.
const WORDS: [(&str, &str, &str, &str); 20] = [
    (
        "tabs disallowed",
        SYNTAX,
        "a tab stands in the indentation",
        "indent with spaces",
    ),
    (
        "did not find expected key",
        SYNTAX,
        "the indentation does not fit the lines above",
        "keys of one map begin in the same column",
    ),
    (
        "did not find expected '-'",
        SYNTAX,
        "the indentation does not fit the list above",
        "items of one list begin with `- ` in the same column",
    ),
    (
        "mapping values are not allowed",
        SYNTAX,
        "a `:` stands where no key can be",
        "begin a new, indented line behind the first `:`, or put the value in quotes",
    ),
    (
        "expected ',' or '}'",
        SYNTAX,
        "a `{` is not closed, or a `,` is missing",
        "add what is missing before this place",
    ),
    (
        "expected ',' or ']'",
        SYNTAX,
        "a `[` is not closed, or a `,` is missing",
        "add what is missing before this place",
    ),
    (
        "null into string",
        SYNTAX,
        "a key is missing in front of the `:`",
        "write `key: value`",
    ),
    (
        "expected string scalar",
        SYNTAX,
        "a key is a list or map",
        "write a plain word in front of the `:`",
    ),
    (
        "non-finite float",
        "bad-value",
        "this is not a number that any key takes",
        "write a plain number",
    ),
    (
        "recursive references",
        SYNTAX,
        "this alias refers to the value it stands in",
        "write the value out",
    ),
    (
        "unexpected character: `\\u{",
        SYNTAX,
        "a control character stands here",
        "remove it, or write it as \"\\xNN\" in double quotes",
    ),
    (
        "recursion limit",
        TOO_COMPLEX,
        "the file is nested too deep",
        "no key of a configuration needs more than 10 levels",
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
        "a second YAML document begins here",
        "keep one, without `---` between",
    ),
    (
        "Depth",
        TOO_COMPLEX,
        "the file is nested too deep",
        "no key of a configuration needs more than 10 levels",
    ),
    (
        "RecursionLimit",
        TOO_COMPLEX,
        "the file is nested too deep",
        "no key of a configuration needs more than 10 levels",
    ),
    (
        "alias replay limit",
        TOO_COMPLEX,
        "aliases make the file too large",
        "write values out, or use fewer aliases",
    ),
    (
        "budget",
        TOO_COMPLEX,
        "the file has too many values",
        "a configuration is a few hundred lines",
    ),
];

/// The one problem that a syntax error is.
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
        let message = format!("`{word}` needs quotes within `{{ }}` and `[ ]`");
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

/// The word around a `${…}` whose brace stands at `at`: without quotes, YAML takes that brace for the begin of a map.
fn bare_variable(text: &str, at: usize) -> Option<Span> {
    let (before, from) = (text.get(..at)?, text.get(at..)?);
    if !before.ends_with('$') || !from.starts_with('{') {
        return None;
    }
    let ends_word = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
    let start = before.rfind(ends_word).map_or(0, |before| before + 1);
    let line = text[at - 1..].lines().next()?;
    // What is not closed on its line is shown to the end of it.
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
    // The scanner stops behind the tab.
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
