//! Paths, written in the canonical form in which requests are matched.
//!
//! A path that is not canonical would silently match nothing; so it is rejected, and the help shows
//! the canonical form.

use std::{fmt::Write as _, sync::Arc};

use crate::block::{At, problem::Report, words};

/// Handling of `%2f` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedSlash {
    /// 400.
    Reject,
    /// It stays encoded, as `%2F`.
    Keep,
}

words! {
    EncodedSlash { "reject" => Reject, "keep" => Keep }
}

/// `/users/{id}/orders`: a whole path in which `{name}` matches one non-empty element.
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

/// How lenient the listeners of a path are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether some listener keeps `%2F`.
    pub(crate) encoded_slash: EncodedSlash,
    /// Whether some listener keeps `//`.
    pub(crate) double_slash: bool,
}

/// A path that is sent to the app can be any path.
const ANY: Rules = Rules {
    encoded_slash: EncodedSlash::Keep,
    double_slash: true,
};

/// Validates a path that requests are matched against.
pub(crate) fn matched(path: &At<String>, rules: Rules, report: &mut Report) {
    literal_star(path, report);
    check(path, &path.value, rules, report);
}

/// Warns about a `*` that looks like a wildcard.
fn literal_star(path: &At<String>, report: &mut Report) {
    if !path.value.split('/').any(|element| element.ends_with('*')) {
        return;
    }
    let message = format!(
        "the `*` in {:?} is a literal character, not a wildcard",
        path.value
    );
    let help = match path.value.split_once('*') {
        Some((prefix, "")) if prefix.ends_with('/') => {
            format!(
                "write {:?}: a path is a prefix and matches all paths below it",
                trimmed(prefix)
            )
        }
        _ => "write { template: \"/a/{name}/b\" } for one element, or { regex: … }".to_owned(),
    };
    report.warning(&path.place, "literal-star", message, help);
}

/// Validates a path that is sent to an upstream.
pub(crate) fn sent(path: &At<String>, report: &mut Report) {
    check(path, &path.value, ANY, report);
}

/// Validates a request target: a path with an optional query.
pub(crate) fn target(path: &At<String>, report: &mut Report) {
    let only_path = path
        .value
        .split_once('?')
        .map_or(path.value.as_str(), |(path, _)| path);
    check(path, only_path, ANY, report);
}

/// A prefix without its trailing slash, which has no meaning (Gateway API, `PathPrefix`).
pub(crate) fn trimmed(prefix: &str) -> &str {
    match prefix.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

/// Parses a template.
pub(crate) fn template(path: &At<String>, rules: Rules, report: &mut Report) -> PathTemplate {
    literal_star(path, report);
    let mut variables: Vec<&str> = Vec::new();
    let mut segments = Vec::new();
    for segment in path
        .value
        .strip_prefix('/')
        .unwrap_or(&path.value)
        .split('/')
    {
        let variable = segment
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        match variable {
            Some(name) if !name.is_empty() && name.chars().all(plain) => {
                if variables.contains(&name) {
                    let message = format!("the variable {{{name}}} occurs twice in the template");
                    report.error(
                        &path.place,
                        "bad-template",
                        message,
                        "give each variable its own name",
                    );
                }
                variables.push(name);
                segments.push(TemplateSegment::Variable(name.into()));
            }
            None if !segment.contains(['{', '}']) => {
                segments.push(TemplateSegment::Literal(segment.into()))
            }
            _ => {
                let message = format!("{segment:?} is not a valid element of a template");
                let help = "a variable is a whole element with a name: /users/{id}/orders";
                report.error(&path.place, "bad-template", message, help);
            }
        }
    }
    // Braces are checked above; the rest must be canonical like any other path.
    check(path, &path.value.replace(['{', '}'], ""), rules, report);
    PathTemplate {
        source: path.value.as_str().into(),
        segments,
    }
}

fn check(path: &At<String>, text: &str, rules: Rules, report: &mut Report) {
    let Some(reason) = problem(text, rules) else {
        return;
    };
    let canonical = canonical(text, rules);
    let help = match problem(&canonical, rules) {
        None if path.value == text => format!("write {canonical}"),
        _ => "write a path such as /orders".to_owned(),
    };
    report.error(
        &path.place,
        "bad-path",
        format!("{:?} {reason}", path.value),
        help,
    );
}

/// Why a text is not a canonical path.
fn problem(text: &str, rules: Rules) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("does not begin with /");
    }
    if text.contains(['?', '#']) {
        return Some("has a query or fragment; only the path is matched");
    }
    if text
        .split('/')
        .any(|element| matches!(dots_decoded(element).as_str(), "." | ".."))
    {
        return Some("has dot segments, which are rejected in requests");
    }
    if text.contains("//") && !rules.double_slash {
        return Some("has //, which is merged in requests");
    }
    let upper = text.to_ascii_uppercase();
    if text.contains('\\') || ["%00", "%5C"].iter().any(|refused| upper.contains(refused)) {
        return Some("has a backslash or %00, which are rejected in requests");
    }
    if upper.contains("%2F") && rules.encoded_slash == EncodedSlash::Reject {
        return Some("has %2f, which requires `paths.encodedSlash: keep`");
    }
    (canonical(text, rules) != text).then_some("is not in canonical form")
}

/// The canonical form: `%` escapes of unreserved characters decoded, others in capitals, what must be
/// escaped escaped, dot segments resolved, `//` merged, no query.
fn canonical(text: &str, rules: Rules) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let mut elements: Vec<String> = Vec::new();
    for element in text.strip_prefix('/').unwrap_or(text).split('/') {
        match dots_decoded(element).as_str() {
            "." => {}
            ".." => drop(elements.pop()),
            "" if !rules.double_slash && elements.last().is_some_and(String::is_empty) => {}
            _ => elements.push(escaped(element)),
        }
        if !rules.double_slash && elements.len() > 1 && elements[elements.len() - 2].is_empty() {
            elements.remove(elements.len() - 2);
        }
    }
    format!("/{}", elements.join("/"))
}

fn dots_decoded(element: &str) -> String {
    element.replace("%2e", ".").replace("%2E", ".")
}

fn escaped(element: &str) -> String {
    let bytes = element.as_bytes();
    let mut out = String::with_capacity(element.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let decoded = element
            .get(at + 1..at + 3)
            .filter(|hex| byte == b'%' && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        at += if decoded.is_some() { 3 } else { 1 };
        let plain = decoded.unwrap_or(byte);
        let unreserved = plain.is_ascii_alphanumeric() || b"-._~".contains(&plain);
        // RFC 3986 section 2 does not allow these; in requests they are percent-encoded.
        let raw = plain.is_ascii_graphic() && !b"%\"<>^`{|}".contains(&plain);
        let keep = if decoded.is_some() { unreserved } else { raw };
        if keep {
            out.push(char::from(plain));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{plain:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules = Rules {
        encoded_slash: EncodedSlash::Reject,
        double_slash: false,
    };

    #[test]
    fn canonical_paths_pass() {
        for path in [
            "/",
            "/a",
            "/a/b",
            "/a/",
            "/a%20b",
            "/~x/-._",
            "/a:b@c!$&'()*+,;=",
            "/%C3%A4",
            "/a...b",
        ] {
            assert_eq!(problem(path, STRICT), None, "{path}");
        }
        assert_eq!(problem("/a%2Fb//c", ANY), None);
    }

    #[test]
    fn other_paths_are_rejected_and_their_canonical_form_is_accepted() {
        for (path, expected) in [
            ("a", "/a"),
            ("", "/"),
            ("/a?b=c", "/a"),
            ("/a#b", "/a"),
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("//a///b", "/a/b"),
            ("/%41", "/A"),
            ("/%c3%a4", "/%C3%A4"),
            ("/ä b", "/%C3%A4%20b"),
            ("/100%", "/100%25"),
            ("/{a}|\"<>^`", "/%7Ba%7D%7C%22%3C%3E%5E%60"),
        ] {
            assert!(problem(path, STRICT).is_some(), "{path}");
            assert_eq!(canonical(path, STRICT), expected, "{path}");
            assert_eq!(problem(expected, STRICT), None, "{expected}");
        }
        for path in ["/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/%00"] {
            assert!(problem(path, STRICT).is_some(), "{path}");
        }
    }

    #[test]
    fn prefixes_lose_their_trailing_slash() {
        for (prefix, expected) in [("/", "/"), ("/a/", "/a"), ("/a", "/a"), ("//", "/")] {
            assert_eq!(trimmed(prefix), expected);
        }
    }
}
