//! The meaning of a plain scalar for Kubernetes, whose YAML library follows YAML 1.1: `yes` is
//! true, `0440` is octal.

use super::{Kind, Node};

/// Null, also as an empty value.
pub(crate) fn is_null(node: &Node<'_>) -> bool {
    matches!(&node.kind, Kind::Scalar(text, true) if is_null_word(text))
}

pub(super) fn is_null_word(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// A boolean.
pub(crate) fn boolean(node: &Node<'_>) -> Option<bool> {
    match &node.kind {
        Kind::Scalar(text, true) => boolean_word(text),
        _ => None,
    }
}

pub(super) fn boolean_word(text: &str) -> Option<bool> {
    if text.len() > "false".len() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let spelled = text == lower || text == text.to_ascii_uppercase() || is_capitalized(text);
    match lower.as_str() {
        "true" | "yes" | "on" | "y" if spelled => Some(true),
        "false" | "no" | "off" | "n" if spelled => Some(false),
        _ => None,
    }
}

fn is_capitalized(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_uppercase) && characters.all(char::is_lowercase)
}

/// A whole number that is not negative: decimal, `0x`, `0o`, `0b`, and octal with a leading zero.
pub(crate) fn integer(node: &Node<'_>) -> Option<u64> {
    let Kind::Scalar(text, true) = &node.kind else {
        return None;
    };
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0b", 2)];
    for (prefix, radix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return u64::from_str_radix(rest, radix).ok();
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => u64::from_str_radix(rest, 8).ok(),
        _ => digits.parse().ok(),
    }
}
