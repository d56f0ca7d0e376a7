//! Lines of `key=value` pairs, as Heroku, Go kit and Grafana's programs write them.
//!
//! There is no standard; this follows `go-logfmt`: a value with spaces stands in double quotes with the escapes of JSON,
//! and a key without `=` is a flag, `true` here.

use serde_json::{Map, Value};

/// Reads one line. All values are strings, except flags.
///
/// # Errors
/// Why the line is not logfmt, in a few words. It needs at least one `key=value`.
pub fn parse(line: &str) -> Result<Map<String, Value>, &'static str> {
    let mut fields = Map::new();
    let mut rest = line.trim_start();
    let mut has_pair = false;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c == '"' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() || after.starts_with('"') {
            return Err("a key is missing before `=` or a quote");
        }
        let Some(after) = after.strip_prefix('=') else {
            fields.insert(key.to_owned(), Value::Bool(true));
            rest = after.trim_start();
            continue;
        };
        has_pair = true;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        if !(after.is_empty() || after.starts_with(char::is_whitespace)) {
            return Err("something stands right behind a closing quote");
        }
        fields.insert(key.to_owned(), Value::String(value));
        rest = after.trim_start();
    }
    if has_pair {
        Ok(fields)
    } else {
        Err("there is no key=value")
    }
}

/// The value up to its closing quote, and what follows.
fn quoted_value(text: &str) -> Result<(String, &str), &'static str> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                let inner = &text[..at];
                let value = if inner.contains('\\') {
                    // A literal tab is no JSON; programs write it all the same.
                    let json = format!("\"{}\"", inner.replace('\t', "\\t"));
                    serde_json::from_str(&json).unwrap_or_else(|_| inner.to_owned())
                } else {
                    inner.to_owned()
                };
                return Ok((value, &text[at + 1..]));
            }
            _ => {}
        }
    }
    Err("a quote is not closed")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_flags_and_quotes_are_read() {
        for (line, fields) in [
            ("a=1 b=two", json!({"a": "1", "b": "two"})),
            (
                r#" level=info msg="hello \"you\"\n" ok err= "#,
                json!({"level": "info", "msg": "hello \"you\"\n", "ok": true, "err": ""}),
            ),
            (
                r#"url=http://x/?a=b q="\x""#,
                json!({"url": "http://x/?a=b", "q": "\\x"}),
            ),
            ("a=1 a=2", json!({"a": "2"})),
        ] {
            assert_eq!(Value::Object(parse(line).unwrap()), fields, "{line}");
        }
    }

    #[test]
    fn other_lines_say_why_they_are_not_logfmt() {
        for line in ["", "just words", "=x", "a=\"open", "a=\"x\"y", "\"a\"=b"] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
