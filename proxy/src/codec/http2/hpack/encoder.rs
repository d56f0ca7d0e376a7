//! Encodes header blocks: indexes of the static table, and literals without indexing.
//!
//! It uses neither the peer's dynamic table nor Huffman codes. The peers are apps on the same
//! machine and clients that decode plain literals faster; HAProxy does the same. So the encoder has
//! no state, and a block means the same on every connection.

use http::{HeaderName, StatusCode};

use super::{Pseudo, static_table};

/// Patterns in front of an integer (RFC 7541 section 6).
const INDEXED: u8 = 0x80;
const SIZE_UPDATE: u8 = 0x20;
const NEVER_INDEXED: u8 = 0x10;
const WITHOUT_INDEXING: u8 = 0;

/// Indexes of the static table.
const AUTHORITY: u8 = 1;
const METHOD_GET: u8 = 2;
const METHOD_POST: u8 = 3;
const PATH_ROOT: u8 = 4;
const PATH_INDEX_HTML: u8 = 5;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;
const STATUS_200: u8 = 8;
const ACCEPT_ENCODING: usize = 16;
const AUTHORIZATION: usize = 23;
const COOKIE: usize = 32;

/// Shorter cookies can be guessed through compression (the same limit as in nghttp2).
const SECRET_COOKIE: usize = 20;

/// Bytes beside a name and a value.
const AROUND: usize = 12;

/// Sets the size of the dynamic table to 0. It is the beginning of the first block, so that the
/// peer allocates no table.
pub(crate) fn size_update(out: &mut Vec<u8>) {
    out.push(SIZE_UPDATE);
}

pub(crate) fn status(out: &mut Vec<u8>, status: StatusCode) {
    let index = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => return literal(out, STATUS_200, status.as_str().as_bytes()),
    };
    out.push(INDEXED | index);
}

/// Writes a pseudo-header of a request. An unknown one is skipped.
pub(crate) fn pseudo(out: &mut Vec<u8>, which: Pseudo, value: &[u8]) {
    let index = match (which, value) {
        (Pseudo::Method, b"GET") => METHOD_GET,
        (Pseudo::Method, b"POST") => METHOD_POST,
        (Pseudo::Path, b"/") => PATH_ROOT,
        (Pseudo::Path, b"/index.html") => PATH_INDEX_HTML,
        (Pseudo::Scheme, b"http") => SCHEME_HTTP,
        (Pseudo::Scheme, b"https") => SCHEME_HTTPS,
        (Pseudo::Method, _) => return literal(out, METHOD_GET, value),
        (Pseudo::Path, _) => return literal(out, PATH_ROOT, value),
        (Pseudo::Scheme, _) => return literal(out, SCHEME_HTTP, value),
        (Pseudo::Authority, _) => return literal(out, AUTHORITY, value),
        (Pseudo::Status, _) => return literal(out, STATUS_200, value),
        (Pseudo::Protocol, _) => {
            out.push(WITHOUT_INDEXING);
            string(out, b":protocol");
            return string(out, value);
        }
        (Pseudo::Unknown, _) => return,
    };
    out.push(INDEXED | index);
}

/// Writes any other header. `sensitive` values are never indexed, also not by later proxies.
pub(crate) fn field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8], sensitive: bool) {
    let name = name.as_str();
    out.reserve(name.len() + value.len() + AROUND);
    let index = static_table::index(name);
    let pattern = match index {
        _ if sensitive => NEVER_INDEXED,
        Some(AUTHORIZATION) => NEVER_INDEXED,
        Some(COOKIE) if value.len() < SECRET_COOKIE => NEVER_INDEXED,
        Some(ACCEPT_ENCODING) if value == b"gzip, deflate" => {
            return out.push(INDEXED | ACCEPT_ENCODING as u8);
        }
        _ => WITHOUT_INDEXING,
    };
    match index {
        Some(index) => integer(out, pattern, 0x0f, index),
        None => {
            out.push(pattern);
            string(out, name.as_bytes());
        }
    }
    string(out, value);
}

/// A literal without indexing, with a name of the static table.
fn literal(out: &mut Vec<u8>, index: u8, value: &[u8]) {
    integer(out, WITHOUT_INDEXING, 0x0f, usize::from(index));
    string(out, value);
}

/// A plain string.
fn string(out: &mut Vec<u8>, string: &[u8]) {
    integer(out, 0, 0x7f, string.len());
    out.extend_from_slice(string);
}

/// An integer in the bits of `mask` and the following bytes (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, pattern: u8, mask: u8, value: usize) {
    let Some(mut rest) = value.checked_sub(usize::from(mask)) else {
        out.push(pattern | value as u8);
        return;
    };
    out.push(pattern | mask);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_as_in_the_rfc() {
        for (mask, value, expected) in [
            (0x1f, 10, &[0x0a][..]),           // C.1.1
            (0x1f, 1337, &[0x1f, 0x9a, 0x0a]), // C.1.2
            (0xff, 42, &[0x2a]),               // C.1.3
            (0x0f, 14, &[14]),
            (0x0f, 15, &[15, 0]),
            (0x7f, 127 + 128, &[127, 0x80, 1]),
        ] {
            let mut out = Vec::new();
            integer(&mut out, 0, mask, value);
            assert_eq!(out, expected, "{value}");
        }
    }

    #[test]
    fn secrets_are_never_indexed() {
        let long = [b'x'; SECRET_COOKIE];
        for (name, value, sensitive, expected) in [
            (
                "authorization",
                &b"Basic eA=="[..],
                false,
                &[0x1f, 23 - 15][..],
            ),
            ("cookie", &long[1..], false, &[0x1f, 32 - 15]),
            ("cookie", &long, false, &[0x0f, 32 - 15]),
            ("cookie", &long, true, &[0x1f, 32 - 15]),
            ("x-key", b"1", true, &[0x10, 5]),
            ("x-key", b"1", false, &[0x00, 5]),
            ("accept-encoding", b"gzip, deflate", true, &[0x1f, 1]),
            ("accept-encoding", b"gzip", false, &[0x0f, 1]),
        ] {
            let mut out = Vec::new();
            field(&mut out, &HeaderName::from_static(name), value, sensitive);
            assert_eq!(&out[..2], expected, "{name}");
        }
    }

    #[test]
    fn whole_entries_of_the_static_table_take_one_byte() {
        let mut out = Vec::new();
        pseudo(&mut out, Pseudo::Method, b"GET");
        pseudo(&mut out, Pseudo::Method, b"POST");
        pseudo(&mut out, Pseudo::Path, b"/");
        pseudo(&mut out, Pseudo::Path, b"/index.html");
        pseudo(&mut out, Pseudo::Scheme, b"http");
        pseudo(&mut out, Pseudo::Scheme, b"https");
        for code in [200, 204, 206, 304, 400, 404, 500] {
            status(&mut out, StatusCode::from_u16(code).unwrap());
        }
        assert_eq!(out, (0x82..=0x8e).collect::<Vec<_>>());
        out.clear();
        field(
            &mut out,
            &http::header::ACCEPT_ENCODING,
            b"gzip, deflate",
            false,
        );
        assert_eq!(out, [0x90]);
        out.clear();
        size_update(&mut out);
        assert_eq!(out, [0x20]);
        out.clear();
        pseudo(&mut out, Pseudo::Unknown, b"x");
        assert_eq!(out, [0_u8; 0]);
    }
}
