//! The canonical form of a host: lower case, without a trailing dot, without the scheme's default
//! port.
//!
//! Routes, rate limits, the `extAuth` check and the access log all use this form, so that no
//! spelling of a name bypasses a rule for that name. The app gets Host as the client sent it.

use std::{borrow::Cow, net::Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_config::model::Scheme;

/// A DNS name has at most 253 characters, and may have a trailing dot.
const MAX_NAME: usize = 254;

/// The canonical form of an authority.
pub fn canonical(authority: &str, scheme: Scheme) -> Cow<'_, str> {
    let (host, port) = split_port(authority);
    let name = without_dot(host);
    let port = port.filter(|port| port.parse() != Ok(scheme.default_port()));
    // Borrowed if it is a prefix of the text.
    let text = match port {
        None => Cow::Borrowed(name),
        Some(_) if name.len() == host.len() => Cow::Borrowed(authority),
        Some(port) => Cow::Owned([name, ":", port].concat()),
    };
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => text,
    }
}

/// The canonical form of a Host field; a value that is not text is returned unchanged.
pub fn canonical_value(value: &HeaderValue, scheme: Scheme) -> Cow<'_, [u8]> {
    match value.to_str().map(|text| canonical(text, scheme)) {
        Ok(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(value.as_bytes()),
    }
}

/// The values of a field that is used as a key: a host in its canonical form, others unchanged.
pub fn values<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
    scheme: Scheme,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    headers.get_all(name).iter().map(move |value| match *name {
        header::HOST => canonical_value(value, scheme),
        _ => Cow::Borrowed(value.as_bytes()),
    })
}

/// The name or address in an authority, without port and trailing dot; the case is kept.
pub fn name_of(authority: &str) -> &str {
    without_dot(host_of(authority))
}

/// The host of an authority without its port; an IPv6 address keeps its brackets.
pub fn host_of(authority: &str) -> &str {
    split_port(authority).0
}

/// The port of an authority.
pub fn port_of(authority: &str) -> Option<u16> {
    split_port(authority).1.and_then(|port| port.parse().ok())
}

/// `host[:port]` with a DNS name, an IPv4 address or a bracketed IPv6 address; no userinfo, list, path or zone.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = split_port(text);
    is_host(host) && port.is_none_or(is_port)
}

fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Splits at the colon after the host; text without one, or with a malformed bracket, is all host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let host_end = match authority.as_bytes() {
        [b'[', ..] => authority
            .find(']')
            .map_or(authority.len(), |bracket| bracket + 1),
        bytes => bytes
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(bytes.len()),
    };
    match authority[host_end..].strip_prefix(':') {
        Some(port) => (&authority[..host_end], Some(port)),
        None => (authority, None),
    }
}

/// Rejects empty labels and names that are too long: they match no hostname, so routes without
/// hostnames would match.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => {
            let bytes = host.as_bytes();
            (1..=MAX_NAME).contains(&bytes.len())
                && bytes[0] != b'.'
                && bytes.iter().all(|byte| NAME[usize::from(*byte)])
                && !bytes.windows(2).any(|pair| pair == b"..")
        }
    }
}

/// The characters of names and IPv4 addresses.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
        && port.len() <= 5
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_has_one_form() {
        for (spelling, scheme, expected) in [
            ("a.example", Scheme::Http, "a.example"),
            ("A.Example.", Scheme::Http, "a.example"),
            ("a.example:80", Scheme::Http, "a.example"),
            ("a.example.:0080", Scheme::Http, "a.example"),
            ("a.example:443", Scheme::Http, "a.example:443"),
            ("a.example:443", Scheme::Https, "a.example"),
            ("A.example.:80", Scheme::Https, "a.example:80"),
            ("127.0.0.1.", Scheme::Http, "127.0.0.1"),
            ("[2001:DB8::1]:80", Scheme::Http, "[2001:db8::1]"),
            ("[::1]:8080", Scheme::Http, "[::1]:8080"),
        ] {
            assert_eq!(canonical(spelling, scheme), expected, "{spelling}");
            assert!(matches!(canonical(expected, scheme), Cow::Borrowed(same) if same == expected));
        }
        let latin = HeaderValue::from_bytes(b"A\xe9.").unwrap();
        assert_eq!(canonical_value(&latin, Scheme::Http), &b"A\xe9."[..]);
    }

    #[test]
    fn an_authority_is_taken_apart() {
        assert_eq!((host_of("[::1]:80"), host_of("A.:80")), ("[::1]", "A."));
        assert_eq!(
            (name_of("A.:80"), name_of("a"), name_of("[::1]:1")),
            ("A", "a", "[::1]")
        );
        assert_eq!(
            (port_of("a:80"), port_of("[::1]"), port_of("[::1]:8")),
            (Some(80), None, Some(8))
        );
    }

    #[test]
    fn a_name_has_no_empty_label_and_is_not_too_long() {
        for (host, expected) in [
            ("a.", true),
            ("a.:80", true),
            (".", false),
            (".a", false),
            ("a..", false),
            ("a..b", false),
            (&"a.".repeat(127), true),
            (&"a.".repeat(128), false),
        ] {
            assert_eq!(is_authority(host), expected, "{host}");
        }
    }
}
