//! `${env:NAME}` and `${env:NAME:-default}` in scalar values. A default may contain variables; the
//! value of a variable is not expanded again.
//!
//! Substitution happens after parsing, so a variable can change a value and never the structure.

/// Maximum nesting of defaults. More is a mistake, and must not exhaust the stack.
const MAX_DEPTH: usize = 8;

/// Source of variables; passed in so that tests need not change the environment of the process.
pub trait Environment {
    /// The value of a variable, `None` when it is unset.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Why a text could not be substituted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SubstitutionError {
    /// Neither a value nor a default.
    Unset(String),
    /// `${` that is not `${env:NAME}`.
    Malformed(String),
    /// Too many nested defaults.
    TooDeep,
}

/// The text with its variables expanded; `None` when it has none.
pub(crate) fn substitute(
    text: &str,
    environment: &dyn Environment,
) -> Result<Option<String>, SubstitutionError> {
    substitute_at(0, text, environment)
}

fn substitute_at(
    depth: usize,
    text: &str,
    environment: &dyn Environment,
) -> Result<Option<String>, SubstitutionError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        if depth == MAX_DEPTH {
            return Err(SubstitutionError::TooDeep);
        }
        let Some(length) = reference_length(&rest[at..]) else {
            return Err(SubstitutionError::Malformed(rest[at..].to_owned()));
        };
        out.push_str(&expand(depth, &rest[at..at + length], environment)?);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Escapes a text so that no part of it is expanded when it is written to a file.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// The length of the reference at the start of the text, up to the `}` that closes its `${`. `None`
/// when it is not closed.
pub(crate) fn reference_length(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = &text[at..];
        match (rest.as_bytes().first()?, depth) {
            _ if rest.starts_with("$${") => at += "$${".len(),
            _ if rest.starts_with("${") => {
                depth += 1;
                at += "${".len();
            }
            (b'}', 0 | 1) => return Some(at + 1),
            (b'}', _) => {
                depth -= 1;
                at += 1;
            }
            _ => at += rest.chars().next()?.len_utf8(),
        }
    }
}

fn expand(
    depth: usize,
    reference: &str,
    environment: &dyn Environment,
) -> Result<String, SubstitutionError> {
    let malformed = || SubstitutionError::Malformed(reference.to_owned());
    let inner = reference
        .strip_prefix("${env:")
        .and_then(|inner| inner.strip_suffix('}'))
        .ok_or_else(malformed)?;
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first_is_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first_is_letter || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(malformed());
    }
    let default = default.map(|default| {
        substitute_at(depth + 1, default, environment)
            .map(|put| put.unwrap_or_else(|| default.to_owned()))
    });
    match (environment.get(name), default) {
        // A malformed default is an error even when it is not used.
        (_, Some(Err(error @ (SubstitutionError::Malformed(_) | SubstitutionError::TooDeep)))) => {
            Err(error)
        }
        // As in a shell, `:-` also replaces an empty value.
        (Some(value), Some(default)) if value.is_empty() => default,
        (Some(value), _) => Ok(value),
        (None, Some(default)) => default,
        (None, None) => Err(SubstitutionError::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("9000".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("a: ${env:PORT}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_expanded() {
        for (text, expected) in [
            ("plain", None),
            ("$5 {x}", None),
            ("${env:PORT}", Some("9000")),
            ("a-${env:PORT}-${env:NONE:-b}", Some("a-9000-b")),
            ("${env:NONE:-}", Some("")),
            ("${env:EMPTY}", Some("")),
            ("${env:EMPTY:-x}", Some("x")),
            ("$${env:PORT}", Some("${env:PORT}")),
            ("$$${env:PORT}", Some("$${env:PORT}")),
            ("${env:TRICK}", Some("a: ${env:PORT}")),
            ("${env:NONE:-${env:PORT}}", Some("9000")),
            ("${env:NONE:-${env:NOPE:-x}}", Some("x")),
            (
                "${env:EMPTY:-${env:NOPE:-}y}-${env:NONE:-a${env:PORT}b}",
                Some("y-a9000b"),
            ),
            ("${env:NONE:-${env:TRICK}}", Some("a: ${env:PORT}")),
            ("${env:PORT:-${env:NOPE}}", Some("9000")),
            ("${env:NONE:-{\u{e9}}}", Some("{\u{e9}}")),
            ("${env:NONE:-$${x}}", Some("${x}")),
        ] {
            assert_eq!(
                substitute(text, &variables),
                Ok(expected.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        assert_eq!(
            substitute("${env:NOPE}", &variables),
            Err(SubstitutionError::Unset("NOPE".to_owned()))
        );
        assert_eq!(
            substitute("${env:NONE:-${env:NOPE}}", &variables),
            Err(SubstitutionError::Unset("NOPE".to_owned()))
        );
        let nested = |count: usize| "${env:NONE:-".repeat(count) + "x" + &"}".repeat(count);
        assert_eq!(
            substitute(&nested(MAX_DEPTH), &variables),
            Ok(Some("x".to_owned()))
        );
        for count in [MAX_DEPTH + 1, 50_000] {
            assert_eq!(
                substitute(&nested(count), &variables),
                Err(SubstitutionError::TooDeep)
            );
        }
        for text in [
            "${PORT}",
            "${env:}",
            "${env:9A}",
            "${env:PORT",
            "${env:A B}",
            "${env:NONE:-${env:PORT}",
            "${env:PORT:-${PORT}}",
            "${env:${env:PORT}}",
        ] {
            assert!(
                matches!(
                    substitute(text, &variables),
                    Err(SubstitutionError::Malformed(_))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn escaping_undoes_substitution() {
        for text in ["${env:PORT}", "x${y}", "$", "$${a", "{}"] {
            let read = substitute(&escape(text), &variables).unwrap();
            assert_eq!(read.unwrap_or_else(|| text.to_owned()), text);
        }
    }
}
