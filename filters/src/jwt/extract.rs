//! Finds the token in a request head, and removes it.
//!
//! The first location that has a token decides, also if that token is rejected: a client must not
//! get a second chance with another token. An Authorization of another scheme is no token. A
//! location with two tokens is rejected, because the app may read the other one (docs/security.md
//! 10).

use http::{HeaderMap, HeaderValue, header::COOKIE};
use outrigger_config::model::TokenLocation;

use crate::reason::Reason;

/// The token at the first of these locations that has one.
///
/// # Errors
/// The location has several tokens, or something that cannot be a token.
pub fn find<'a>(from: &[TokenLocation], headers: &'a HeaderMap) -> Result<Option<&'a str>, Reason> {
    match from
        .iter()
        .map(|location| Content::at(location, headers))
        .find(|found| found.first.is_some())
    {
        Some(Content { repeated: true, .. }) => Err(Reason::AuthDuplicateToken),
        Some(Content { first, .. }) => first
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| Reason::AuthTokenEncoding),
        None => Ok(None),
    }
}

/// Removes the tokens at all of these locations, verified or not, so that the app gets none. Other
/// cookies and other schemes are kept.
pub fn remove(from: &[TokenLocation], headers: &mut HeaderMap) {
    for location in from {
        if Content::at(location, headers).first.is_none() {
            continue;
        }
        match location {
            TokenLocation::Header { name, .. } => drop(headers.remove(name)),
            TokenLocation::Cookie(name) => remove_cookie(name, headers),
        }
    }
}

fn remove_cookie(name: &str, headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let others: Vec<&[u8]> = pairs(line.as_bytes())
            .filter(|pair| cookie_value(pair, name).is_none())
            .collect();
        // Parts of a valid value, joined with valid characters.
        if let Ok(line) = HeaderValue::from_bytes(&others.join(&b"; "[..]))
            && !line.is_empty()
        {
            headers.append(COOKIE, line);
        }
    }
}

/// The content of one location.
struct Content<'a> {
    first: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Content<'a> {
    fn at(location: &TokenLocation, headers: &'a HeaderMap) -> Self {
        match location {
            TokenLocation::Header { name, scheme: None } => {
                Self::among(headers.get_all(name).iter().map(HeaderValue::as_bytes))
            }
            TokenLocation::Header {
                name,
                scheme: Some(scheme),
            } => {
                let lines = headers.get_all(name).iter();
                Self::among(lines.filter_map(|line| behind_scheme(line.as_bytes(), scheme)))
            }
            TokenLocation::Cookie(name) => {
                let pairs = headers
                    .get_all(COOKIE)
                    .iter()
                    .flat_map(|line| pairs(line.as_bytes()));
                Self::among(pairs.filter_map(|pair| cookie_value(pair, name)))
            }
        }
    }

    fn among(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        Self {
            first: values.next(),
            repeated: values.next().is_some(),
        }
    }
}

/// The text after a scheme and at least one space (RFC 9110 section 11.4); `None` for the scheme
/// alone.
fn behind_scheme<'a>(line: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(scheme.len())?;
    if !found.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    let token = rest.trim_ascii_start();
    (rest.is_empty() || token.len() < rest.len()).then_some(token)
}

/// `a=1; b=2`, without surrounding space (RFC 6265 section 4.2.1).
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// The value of a cookie with this name. Space before the `=` is ignored, because apps ignore it
/// too.
fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    (pair[..equals].trim_ascii_end() == name.as_bytes()).then(|| unquoted(&pair[equals + 1..]))
}

/// A value without the pair of quotes that may be around it (RFC 6265 section 4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}
