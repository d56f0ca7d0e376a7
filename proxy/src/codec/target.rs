//! Request targets: characters that RFC 3986 allows nowhere in a path or query are percent-encoded.
//!
//! `curl -g 'http://…/x?filter={"a":1}'`, and browsers with UTF-8 in a pasted link, send such bytes
//! raw. They are unambiguous, so they are encoded before anything reads the target: the path that
//! is matched is the path that is forwarded. Ambiguous bytes stay and are rejected later: control
//! bytes, space and `#` by the codec, `\` in a path by `outrigger_filters::path`.

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The target, with bytes encoded that RFC 3986 sections 3.3 and 3.4 do not allow in path and
/// query. An absolute form with a query and no path gets its `/` (RFC 9112 section 3.2.1). A `\` in
/// the path stays, and so does everything before the path. Also used for `:path` of HTTP/2.
///
/// Allocates only when something must be encoded. Encoding twice changes nothing.
pub(crate) fn encoded(target: &[u8]) -> Cow<'_, [u8]> {
    let start = path_start(target);
    let (front, rest) = target.split_at(start);
    let lacks_slash = start > 0 && rest.first() == Some(&b'?');
    // Without an early exit, so that the loop is vectorized.
    if !lacks_slash
        && !rest
            .iter()
            .fold(false, |found, byte| found | must_be_encoded(*byte))
    {
        return Cow::Borrowed(target);
    }
    Cow::Owned(encode(front, rest, lacks_slash))
}

/// Whether an absolute form ends after its authority. With OPTIONS it means `*` then (RFC 9112
/// section 3.2.4).
pub(crate) fn has_only_authority(target: &[u8]) -> bool {
    target.first().is_some_and(u8::is_ascii_alphabetic)
        && memchr::memmem::find(target, b"://").is_some()
        && path_start(target) == target.len()
}

/// The start of the path, or of the query of a target without a path; the target's end where there
/// is neither.
fn path_start(target: &[u8]) -> usize {
    if let Some(b'/') = target.first() {
        return 0;
    }
    let Some(scheme) = memchr::memmem::find(target, b"://") else {
        return target.len();
    };
    let authority = scheme + "://".len();
    let end = memchr::memchr2(b'/', b'?', &target[authority..]);
    end.map_or(target.len(), |end| authority + end)
}

/// Bytes that are neither unreserved nor reserved nor `%`. `[` and `]` are reserved, and so common
/// in queries that they stay.
fn must_be_encoded(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
    ) | (byte >= 0x80)
}

#[cold]
fn encode(front: &[u8], rest: &[u8], lacks_slash: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(front.len() + rest.len() + 32);
    out.extend_from_slice(front);
    if lacks_slash {
        out.push(b'/');
    }
    let mut in_query = false;
    for &byte in rest {
        in_query |= byte == b'?';
        // Some servers treat `\` in a path as `/`: encoded, it would pass the check.
        if must_be_encoded(byte) && (byte != b'\\' || in_query) {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(target: &str) -> String {
        String::from_utf8(encoded(target.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn what_may_be_written_is_borrowed() {
        for target in [
            "",
            "*",
            "/",
            "/a/b;c=d/e@f:g!$&'()*+,=~-._?a[]=b&c=%7B/?:@",
            "http://a",
            "http://a/",
            "http://u@a:80/b?c",
            "a:80",
            "?a",
        ] {
            assert!(
                matches!(encoded(target.as_bytes()), Cow::Borrowed(same) if same == target.as_bytes())
            );
        }
    }

    #[test]
    fn what_a_uri_has_nowhere_is_encoded_in_path_and_query() {
        for (target, wanted) in [
            ("/x?filter={\"a\":1}", "/x?filter=%7B%22a%22:1%7D"),
            ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("/?\"<>^`{|}\\", "/?%22%3C%3E%5E%60%7B%7C%7D%5C"),
            ("/caf\u{e9}?\u{20ac}", "/caf%C3%A9?%E2%82%AC"),
            ("http://a/{?}", "http://a/%7B?%7D"),
            ("HTTP://a?{", "HTTP://a/?%7B"),
            ("http://h?q=1", "http://h/?q=1"),
            ("http://h?http://i?q", "http://h/?http://i?q"),
        ] {
            assert_eq!(text(target), wanted, "{target}");
            assert!(
                matches!(encoded(wanted.as_bytes()), Cow::Borrowed(_)),
                "{wanted}"
            );
        }
        assert_eq!(*encoded(b"/\xff?\xc0\xaf"), *b"/%FF?%C0%AF");
    }

    #[test]
    fn what_is_ambiguous_or_no_path_stays() {
        for target in [
            "/a\\b",
            "/..\\a?b",
            "http://a{b",
            "http://a{b/c",
            "{a",
            "a{:80",
            "?{",
            "*{",
        ] {
            assert_eq!(text(target), target);
        }
        assert_eq!(text("/a\\{?\\"), "/a\\%7B?%5C");
    }

    #[test]
    fn every_byte_is_left_or_encoded_as_rfc_3986_says() {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        for byte in 0..=255_u8 {
            let ambiguous = byte <= b' ' || byte == 0x7f;
            let target = [b"/?".as_slice(), &[byte]].concat();
            let wanted = match allowed(byte) || ambiguous {
                true => target.clone(),
                false => format!("/?%{byte:02X}").into_bytes(),
            };
            assert_eq!(*encoded(&target), *wanted, "{byte:#x}");
        }
    }

    #[test]
    fn an_absolute_form_may_end_behind_its_authority() {
        for (target, only) in [
            ("http://h", true),
            ("https://h:1", true),
            ("http://h/", false),
            ("http://h?q", false),
            ("/http://h", false),
            ("*", false),
            ("h:80", false),
            ("", false),
        ] {
            assert_eq!(has_only_authority(target.as_bytes()), only, "{target}");
        }
    }
}
