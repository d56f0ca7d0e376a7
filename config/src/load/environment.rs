//! `${env:NAME}` and `${env:NAME:-default}` in scalar values.
//!
//! Substitution happens after parsing, so a variable can change a value and never the structure.

/// Where variables come from; passed in so that nothing has to change the process's own.
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
}

/// The text with variables in place; `None` when there is nothing to replace.
pub(crate) fn substitute(
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
        let Some(end) = rest[at..].find('}') else {
            return Err(SubstitutionError::Malformed(rest[at..].to_owned()));
        };
        out.push_str(&expand(&rest[at..=at + end], environment)?);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Makes a text safe from substitution, for writing it to a file.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn expand(reference: &str, environment: &dyn Environment) -> Result<String, SubstitutionError> {
    let malformed = || SubstitutionError::Malformed(reference.to_owned());
    let inner =
        reference.strip_prefix("${env:").and_then(|inner| inner.strip_suffix('}')).ok_or_else(malformed)?;
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first_is_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first_is_letter || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(malformed());
    }
    match (environment.get(name), default) {
        // As in a shell, `:-` also stands in for an empty value.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
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
    fn variables_are_put_in_place() {
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
        ] {
            assert_eq!(substitute(text, &variables), Ok(expected.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(substitute("${env:NOPE}", &variables), Err(SubstitutionError::Unset("NOPE".to_owned())));
        for text in ["${PORT}", "${env:}", "${env:9A}", "${env:PORT", "${env:A B}"] {
            assert!(matches!(substitute(text, &variables), Err(SubstitutionError::Malformed(_))), "{text}");
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
