//! A condition on a query parameter: its first value, decoded, must match.
//!
//! Names and values are decoded as `application/x-www-form-urlencoded` (WHATWG URL section 5.1):
//! `+` is a space and `%2B` a plus, because apps decode them like this. An invalid escape is kept,
//! and a value that is not UTF-8 matches no regex.

use std::{borrow::Cow, sync::Arc};

use outrigger_config::model::QueryMatch;

use super::header::ValueRule;

#[derive(Debug, Clone)]
pub(super) struct QueryRule {
    name: Arc<str>,
    value: ValueRule,
}

impl QueryRule {
    pub(super) fn new(accepted: &QueryMatch) -> Self {
        Self {
            name: accepted.name.clone(),
            value: ValueRule::new(&accepted.value),
        }
    }

    pub(super) fn holds(&self, query: Option<&str>) -> bool {
        let Some(value) = query.and_then(|query| first_value(query, &self.name)) else {
            return false;
        };
        match &self.value {
            ValueRule::Present => true,
            ValueRule::Exact(text) => decoded(value).eq(text.bytes()),
            ValueRule::Regex(regex) => {
                decoded_text(value).is_some_and(|text| regex.is_match(&text))
            }
        }
    }
}

fn first_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(key, value)| decoded(key).eq(name.bytes()).then_some(value))
}

fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match hex(*high).zip(hex(*low)) {
                Some((high, low)) => (high << 4 | low, after),
                None => (b'%', &rest[1..]),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

fn decoded_text(text: &str) -> Option<Cow<'_, str>> {
    if text.contains(['%', '+']) {
        String::from_utf8(decoded(text).collect())
            .ok()
            .map(Cow::Owned)
    } else {
        Some(text.into())
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}
