//! The canonical form of a request path: what is matched, authorized and forwarded.
//!
//! Unreserved percent-escapes are decoded, hex digits upper-cased, `//` merged (RFC 3986 section
//! 6.2.2); printable characters that are not permitted in a URI are encoded, so that a route's path
//! has one spelling. Rejected is everything that another server could interpret differently:
//! - dot segments after decoding, also before `;` (a servlet container reads `/..;/` as `/../`) or
//!   beside `%2F`
//! - `%00`, `%5c` and `\`, and `%2f` unless it is kept
//! - invalid escapes
//! - `#` and `?`, which end a path (CVE-2021-29492, CVE-2026-26205)
//!
//! Invariant: the result of [`canonical`] is its own canonical form, because every rewritten path
//! is scanned again.

use std::{borrow::Cow, fmt::Write};

use outrigger_config::model::{EncodedSlash, PathRules};

use crate::reason::Reason;

/// Makes `path` canonical. Borrowed, after one scan, if it already is. The `*` of OPTIONS is left
/// to the caller.
///
/// # Errors
/// [`Reason::RequestTarget`] for control and non-ASCII bytes and for a path that does not begin
/// with `/`, [`Reason::RequestPath`] for everything else that is rejected.
pub fn canonical(path: &str, rules: PathRules) -> Result<Cow<'_, str>, Reason> {
    match scan(path.as_bytes(), rules)? {
        Scan::Canonical => Ok(Cow::Borrowed(path)),
        Scan::DiffersAt(at) => rewrite(path, at, rules).map(Cow::Owned),
    }
}

/// The result of one scan of a path.
#[derive(Debug, PartialEq, Eq)]
enum Scan {
    Canonical,
    /// Everything before this byte is canonical.
    DiffersAt(usize),
}

/// The class of a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Kept, and so is its escape.
    Reserved,
    /// Kept; its escape is decoded.
    Unreserved,
    Slash,
    Percent,
    /// Not permitted in a URI (RFC 3986 section 2): percent-encoded.
    Encoded,
    /// Rejected in a path.
    Refused,
    /// Rejected in a target.
    Unprintable,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Reserved; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                Class::Unreserved
            }
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'\\' | b'#' | b'?' => Class::Refused,
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Encoded,
            0x21..=0x7e => Class::Reserved,
            _ => Class::Unprintable,
        };
        byte += 1;
    }
    classes
}

fn scan(path: &[u8], rules: PathRules) -> Result<Scan, Reason> {
    if path.first() != Some(&b'/') {
        return Err(Reason::RequestTarget);
    }
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Reserved | Class::Unreserved => at += 1,
            Class::Slash => {
                let rest = &path[at + 1..];
                match rest.first() {
                    Some(b'.') if is_dot_segment(rest) => return Err(Reason::RequestPath),
                    Some(b'/') if rules.merge_slashes => return Ok(Scan::DiffersAt(at)),
                    _ => at += 1,
                }
            }
            Class::Percent => match escape(&path[at..], rules)? {
                Escape::Keep { upper: true, slash } => {
                    if slash && is_dot_segment(&path[at + 3..]) {
                        return Err(Reason::RequestPath);
                    }
                    at += 3;
                }
                Escape::Keep { .. } | Escape::Decode(_) => return Ok(Scan::DiffersAt(at)),
            },
            Class::Encoded => return Ok(Scan::DiffersAt(at)),
            Class::Refused => return Err(Reason::RequestPath),
            Class::Unprintable => return Err(Reason::RequestTarget),
        }
    }
    Ok(Scan::Canonical)
}

/// Writes the rest of the path from the first byte that differs, and scans the whole result again:
/// decoding can create dot segments.
#[cold]
fn rewrite(path: &str, differs_at: usize, rules: PathRules) -> Result<String, Reason> {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    out.push_str(&path[..differs_at]);
    let mut at = differs_at;
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Reserved | Class::Unreserved => out.push(char::from(byte)),
            Class::Slash if rules.merge_slashes && out.ends_with('/') => {}
            Class::Slash => out.push('/'),
            Class::Encoded => {
                let _ = write!(out, "%{byte:02X}"); // writing into a String cannot fail
            }
            Class::Percent => {
                match escape(&bytes[at..], rules)? {
                    Escape::Decode(decoded) => out.push(char::from(decoded)),
                    Escape::Keep { .. } => {
                        out.push('%');
                        out.push(char::from(bytes[at + 1].to_ascii_uppercase()));
                        out.push(char::from(bytes[at + 2].to_ascii_uppercase()));
                    }
                }
                at += 2;
            }
            Class::Refused => return Err(Reason::RequestPath),
            Class::Unprintable => return Err(Reason::RequestTarget),
        }
        at += 1;
    }
    match scan(out.as_bytes(), rules)? {
        Scan::Canonical => Ok(out),
        // Unreachable; if it happens after all, rejecting is safe.
        Scan::DiffersAt(_) => Err(Reason::RequestPath),
    }
}

/// What to do with a percent-escape.
enum Escape {
    /// Keep it; `upper` if its digits already are upper case, `slash` if it is `%2F`.
    Keep {
        upper: bool,
        slash: bool,
    },
    Decode(u8),
}

/// Parses the escape at the start of `rest`.
fn escape(rest: &[u8], rules: PathRules) -> Result<Escape, Reason> {
    let &[_, high, low, ..] = rest else {
        return Err(Reason::RequestPath);
    };
    let Some(value) = hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low) else {
        return Err(Reason::RequestPath);
    };
    match value {
        0 | b'\\' => Err(Reason::RequestPath),
        b'/' if rules.encoded_slash == EncodedSlash::Reject => Err(Reason::RequestPath),
        _ if CLASSES[usize::from(value)] == Class::Unreserved => Ok(Escape::Decode(value)),
        _ => {
            let upper = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
            Ok(Escape::Keep {
                upper,
                slash: value == b'/',
            })
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether the segment that begins here is `.` or `..`, ended by the path, `/`, `;`, `%3B` or a kept `%2F`.
fn is_dot_segment(rest: &[u8]) -> bool {
    let after = match rest {
        [b'.', b'.', after @ ..] | [b'.', after @ ..] => after,
        _ => return false,
    };
    matches!(
        after,
        [] | [b'/' | b';', ..] | [b'%', b'2', b'F' | b'f', ..] | [b'%', b'3', b'B' | b'b', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> PathRules {
        PathRules::default()
    }

    fn keep() -> PathRules {
        let mut rules = PathRules::default();
        rules.encoded_slash = EncodedSlash::Keep;
        rules
    }

    fn unmerged() -> PathRules {
        let mut rules = PathRules::default();
        rules.merge_slashes = false;
        rules
    }

    #[test]
    fn a_canonical_path_is_borrowed() {
        for path in [
            "/",
            "/a",
            "/a/b.c/d-e_f~g",
            "/a%20b",
            "/%C3%A9",
            "/a;v=1/b",
            "/.a",
            "/..a",
            "/...",
            "/a./b..",
        ] {
            let Ok(Cow::Borrowed(same)) = canonical(path, strict()) else {
                panic!("{path}")
            };
            assert_eq!(same, path);
        }
        assert!(matches!(
            canonical("/a%2Fb", keep()),
            Ok(Cow::Borrowed("/a%2Fb"))
        ));
        assert!(matches!(
            canonical("//a//", unmerged()),
            Ok(Cow::Borrowed("//a//"))
        ));
    }

    /// `docs/security.md` 9.
    #[test]
    fn every_spelling_of_a_path_has_one_form() {
        for (path, expected) in [
            ("/%61dmin", "/admin"),
            ("/%41", "/A"),
            ("/%7euser", "/~user"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("//", "/"),
            ("///a////b//", "/a/b/"),
            ("/a%252e%252e", "/a%252e%252e"),
            ("/a/%2eb", "/a/.b"),
            ("/%3a%3A:", "/%3A%3A:"),
            ("/a{b}%7b|/\"<>^`", "/a%7Bb%7D%7B%7C/%22%3C%3E%5E%60"),
        ] {
            assert_eq!(canonical(path, strict()).unwrap(), expected, "{path}");
        }
        assert_eq!(canonical("/a%2fb//c", keep()).unwrap(), "/a%2Fb/c");
        assert_eq!(canonical("/a//%62", unmerged()).unwrap(), "/a//b");
    }

    /// `docs/security.md` 9.
    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        for path in [
            "/.",
            "/..",
            "/a/.",
            "/a/..",
            "/a/./b",
            "/a/../b",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/%2e./b",
            "//../a",
            "/a/..;/b",
            "/a/..;x=1",
            "/a/..%3b/c",
            "/.;/a",
            "/%2e%2e;/a",
            "/a%00",
            "/a%5cb",
            "/a%5Cb",
            "/a\\b",
            "/a%2fb",
            "/a%2F..",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%2g",
            "/a%g2",
            "/a#b",
            "/a?b",
            "/%2%35",
            "/a%u002e",
            "/é/../a",
        ] {
            assert!(canonical(path, strict()).is_err(), "{path}");
        }
        for path in [
            "/a%2f..",
            "/a%2f..%2fb",
            "/a%2F.%2Fb",
            "/..%2fa",
            "/a%2f%2e%2e/b",
            "/a%5c",
            "/%00",
        ] {
            assert_eq!(canonical(path, keep()), Err(Reason::RequestPath), "{path}");
        }
        assert_eq!(canonical("/a//../b", unmerged()), Err(Reason::RequestPath));
    }

    /// `docs/security.md` 2.
    #[test]
    fn control_and_non_ascii_bytes_are_refused_as_a_bad_target() {
        for path in [
            "",
            "*",
            "a",
            "http://a/",
            "/a b",
            "/a\tb",
            "/\r\n",
            "/\u{7f}",
            "/é",
            "/%41\u{1}",
        ] {
            assert_eq!(
                canonical(path, strict()),
                Err(Reason::RequestTarget),
                "{path:?}"
            );
        }
    }

    /// Any path over a small hostile alphabet: canonical twice is canonical once, and nothing dangerous is left.
    #[test]
    fn canonical_is_idempotent_and_leaves_nothing_ambiguous() {
        const PIECES: [&str; 26] = [
            "/", "//", ".", "..", "%2e", "%2E", "%2f", "%2F", "%41", "%", "%25", "a", "B", ";",
            "%5c", "\\", "%00", "%c3", "~", ":", "%7E", "2", "F", "é", "{", "\"",
        ];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut accepted = 0;
        for _ in 0..200_000 {
            let mut path = String::from("/");
            for _ in 0..next(&mut random) % 9 {
                path.push_str(PIECES[next(&mut random) as usize % PIECES.len()]);
            }
            for rules in [strict(), keep(), unmerged()] {
                let Ok(once) = canonical(&path, rules) else {
                    continue;
                };
                accepted += 1;
                assert!(
                    matches!(canonical(&once, rules), Ok(Cow::Borrowed(twice)) if twice == once),
                    "{path}"
                );
                assert!(once.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
                assert!(!once.contains(['{', '"']), "{path}");
                assert!(
                    !once.contains("%2e") && !once.contains("%2f") && !once.contains('\\'),
                    "{path}"
                );
                let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
                assert!(!once.split('/').any(dots), "{path}");
                assert!(!rules.merge_slashes || !once.contains("//"), "{path}");
            }
        }
        assert!(accepted > 10_000, "{accepted}");
    }

    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state >> 11
    }
}
