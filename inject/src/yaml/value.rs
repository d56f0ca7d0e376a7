//! Values to write: a small tree, as lines of block YAML or as one line of flow YAML or JSON.

use std::rc::Rc;

use super::scalar::{boolean_word, is_null_word};

/// A value to write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// Several lines, as a literal block (`|`) where the style has one.
    Lines(String),
    Number(u64),
    Flag(bool),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// A list or map on one line, also in block style.
    Short(Box<Self>),
    /// An item of a list, formatted once for many places.
    Ready(Rc<Ready>),
}

/// An item of a list in each style.
#[derive(Debug, PartialEq)]
pub(crate) struct Ready {
    /// Its lines in column 0, with the dash.
    lines: Vec<String>,
    flow: String,
    json: String,
}

/// The style of the surrounding text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Lines, whose first key or dash is in this column.
    Block(usize),
    /// On one line, inside of braces or brackets.
    Flow,
    /// The same, with every key and string in double quotes.
    Json,
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn map(entries: Vec<(&str, Self)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Self::Map(entries.collect())
    }

    pub(crate) fn words(words: &[&str]) -> Self {
        let words = words.iter().map(|word| Self::text(*word)).collect();
        Self::List(words).short()
    }

    pub(crate) fn short(self) -> Self {
        Self::Short(Box::new(self))
    }

    /// Formats an item of a list once, for many places.
    pub(crate) fn ready(&self) -> Self {
        let mut lines = Vec::new();
        block_item(self, 0, &mut lines);
        Self::Ready(Rc::new(Ready {
            lines,
            flow: self.inline(false),
            json: self.inline(true),
        }))
    }

    /// On one line.
    pub(crate) fn inline(&self, json: bool) -> String {
        match self {
            Self::Text(text) if json => quoted(text),
            Self::Text(text) => scalar(text),
            Self::Lines(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.inline(json)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| inline_entry(key, value, json))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Self::Short(inner) => inner.inline(json),
            Self::Ready(ready) if json => ready.json.clone(),
            Self::Ready(ready) => ready.flow.clone(),
        }
    }
}

/// `key: value` on one line.
pub(crate) fn inline_entry(key: &str, value: &Value, json: bool) -> String {
    let key = if json { quoted(key) } else { scalar(key) };
    format!("{key}: {}", value.inline(json))
}

/// The lines of `key: value`, each indented and without its line end.
pub(crate) fn block_entry(key: &str, value: &Value, indent: usize, out: &mut Vec<String>) {
    let head = format!("{:indent$}{}:", "", scalar(key));
    put(&head, value, indent, out);
}

/// The lines of `- value`.
pub(crate) fn block_item(value: &Value, indent: usize, out: &mut Vec<String>) {
    match value {
        Value::Ready(ready) => {
            let spaces = " ".repeat(indent);
            out.extend(
                ready
                    .lines
                    .iter()
                    .map(|line| [&spaces, line.as_str()].concat()),
            );
        }
        Value::Map(entries) if !entries.is_empty() => {
            let from = out.len();
            for (key, value) in entries {
                block_entry(key, value, indent + 2, out);
            }
            out[from].replace_range(indent..=indent, "-");
        }
        other => put(&format!("{:indent$}-", ""), other, indent, out),
    }
}

fn put(head: &str, value: &Value, indent: usize, out: &mut Vec<String>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push(head.to_owned());
            for (key, value) in entries {
                block_entry(key, value, indent + 2, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            out.push(head.to_owned());
            items
                .iter()
                .for_each(|item| block_item(item, indent + 2, out));
        }
        Value::Lines(text) if fits_literal(text) => {
            let clip = if text.ends_with('\n') { "" } else { "-" };
            out.push(format!("{head} |{clip}"));
            let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
            out.extend(lines.map(|line| match line {
                "" => String::new(),
                line => format!("{:1$}{line}", "", indent + 2),
            }));
        }
        Value::Short(inner) => out.push(match &**inner {
            Value::Map(entries) if !entries.is_empty() => {
                let inner = inner.inline(false);
                format!("{head} {{ {} }}", &inner[1..inner.len() - 1])
            }
            inner => format!("{head} {}", inner.inline(false)),
        }),
        other => out.push(format!("{head} {}", other.inline(false))),
    }
}

/// Whether a literal block keeps the text: at most one line end at its end, and nothing that would
/// change the indentation.
fn fits_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    !body.is_empty()
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && body
            .chars()
            .all(|c| matches!(c, '\n' | '\t' | ' '..='~' | '\u{a1}'..='\u{2027}' | '\u{2030}'..='\u{d7ff}'))
        && !body.split('\n').any(|line| !line.is_empty() && line.trim().is_empty())
}

/// A scalar: plain if every YAML parser reads it as a string, else in quotes.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let single = text.contains('"') && text.chars().all(|c| c != '\'' && matches!(c, ' '..='~'));
    if single {
        return format!("'{text}'");
    }
    quoted(text)
}

/// A JSON string, which is also valid YAML.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_plain(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_');
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-');
    let flag = text
        .strip_prefix("--")
        .or_else(|| text.strip_prefix('-'))
        .unwrap_or(text);
    flag.starts_with(first)
        && text.chars().all(rest)
        && !is_null_word(text)
        && boolean_word(text).is_none()
        && !is_word_of_another_type(flag)
        || is_image(text)
        || is_quantity(text)
}

/// Names such as `outrigger:0.1.0`: every YAML parser reads a colon without a following space as text,
/// and a name that begins with a letter is no number such as `1:20`.
fn is_image(text: &str) -> bool {
    let Some((name, tag)) = text.rsplit_once(':') else {
        return false;
    };
    let fits = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-'))
    };
    fits(name)
        && !tag.is_empty()
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Quantities such as `20m` and `64Mi`, which are not numbers.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < text.len() && matches!(digits, "m" | "Ki" | "Mi" | "Gi")
}

fn is_word_of_another_type(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(lower.as_str(), ".inf" | ".nan" | "inf" | "nan" | "infinity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_yaml_1_1_reads_as_something_else_are_quoted() {
        for text in [
            "yes",
            "on",
            "y",
            "NO",
            "0440",
            "1e3",
            "1:30",
            "~",
            "null",
            "",
            "8080",
            "1.5",
            "0x1f",
            "a: b",
            "- a",
            "#x",
            "*a",
            "{",
            " a",
            "a ",
            "2001-01-01",
            ".5",
            "nan",
            "true",
        ] {
            let written = scalar(text);
            assert!(written.starts_with(['"', '\'']), "{text:?}: {written}");
        }
        for text in [
            "run",
            "-c",
            "--wait",
            "/etc/outrigger/outrigger.yaml",
            "outrigger:0.1.0",
            "app.kubernetes.io/name",
        ] {
            assert_eq!(scalar(text), text);
        }
    }

    #[test]
    fn a_value_is_written_in_each_style() {
        let value = Value::map(vec![
            ("name", Value::text("on")),
            ("args", Value::words(&["run", "-c"])),
            (
                "env",
                Value::List(vec![Value::map(vec![
                    ("a", Value::Number(1)),
                    ("b", Value::Flag(true)),
                ])]),
            ),
            ("text", Value::Lines("x: 1\n\ny: 2\n".to_owned())),
        ]);
        let mut lines = Vec::new();
        block_item(&value, 2, &mut lines);
        assert_eq!(
            lines.join("\n"),
            "  - name: \"on\"\n    args: [run, -c]\n    env:\n      - a: 1\n        b: true\n    text: |\n      x: 1\n\n      y: 2"
        );
        assert_eq!(
            value.inline(true),
            r#"{"name": "on", "args": ["run", "-c"], "env": [{"a": 1, "b": true}], "text": "x: 1\n\ny: 2\n"}"#
        );
    }
}
