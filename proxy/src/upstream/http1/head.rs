//! Reads response heads and decides the framing of the body; ambiguous framing is an error.
//!
//! Errors name the header, for the log, but no value, which may be a secret.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header,
    response::{self, Parts},
};
use outrigger_filters::hop_by_hop;

use crate::codec::{
    decode::{Decoder, ENDPOINT_LINE},
    fields::{self, NoField},
    lines::{LineEnd, Lines},
};

/// Bytes of an invalid header name that are shown.
const SHOWN: usize = 32;

/// What is wrong with a response.
pub(crate) type Problem = Cow<'static, str>;

/// A complete head.
pub(super) enum Head {
    /// 1xx other than 101: the final response is still to come.
    Informational(StatusCode),
    /// The final response.
    Final(FinalHead),
}

/// A final response head.
pub(super) struct FinalHead {
    pub(super) head: Parts,
    pub(super) decoder: Decoder,
    pub(super) keep_alive: bool,
    /// Whether other hop-by-hop headers are left.
    pub(super) has_hop_fields: bool,
}

/// Takes a complete head from the front of `buffer`; `None` while it is incomplete.
///
/// `lines` has the scan position. `fields` becomes the map of a final response, which has no body
/// when it is `bodiless`. It has at most `limit` headers.
pub(super) fn parse(
    buffer: &mut BytesMut,
    lines: &mut Lines,
    fields: &mut HeaderMap,
    bodiless: bool,
    limit: u16,
) -> Result<Option<Head>, Problem> {
    // The number of bytes is checked where they are read.
    let found = lines.find(buffer, usize::MAX, usize::from(limit), LineEnd::Lf);
    let Some(length) = found.map_err(|_| too_many(limit.into()))? else {
        return Ok(None);
    };
    let bytes = buffer.split_to(length).freeze();
    let head = read(&bytes, lines, fields, bodiless);
    lines.restart();
    head.map(Some)
}

fn read(
    bytes: &Bytes,
    lines: &Lines,
    fields: &mut HeaderMap,
    bodiless: bool,
) -> Result<Head, Problem> {
    let first = lines.first().ok_or(BAD_STATUS)?;
    let (status, version) = status_line(&bytes[first])?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        read_fields(&mut HeaderMap::new(), bytes, lines)?;
        return Ok(Head::Informational(status));
    }
    let (mut head, ()) = response::Response::new(()).into_parts();
    head.status = status;
    head.version = version;
    head.headers = std::mem::take(fields);
    head.headers.clear();
    head.headers.reserve(lines.field_count());
    let info = read_fields(&mut head.headers, bytes, lines)?;
    let decoder = framing(&info, &head, bodiless)?;
    let keep_alive = keeps_alive(&info, &head) && !decoder.ends_with_connection();
    Ok(Head::Final(FinalHead {
        head,
        decoder,
        keep_alive,
        has_hop_fields: info.hop_fields,
    }))
}

/// The error for a head with too many headers.
pub(crate) fn too_many(limit: usize) -> Problem {
    format!("the response has more than {limit} headers (limits.headers)").into()
}

const BAD_STATUS: &str = "malformed status line";

/// `HTTP/1.1 200 OK`; the reason phrase may be missing.
fn status_line(line: &[u8]) -> Result<(StatusCode, Version), Problem> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (version, rest) = match line.split_at_checked(b"HTTP/1.x ".len()) {
        Some((b"HTTP/1.1 ", rest)) => (Version::HTTP_11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::HTTP_10, rest),
        _ => return Err(BAD_STATUS.into()),
    };
    let (code, reason) = rest.split_at_checked(3).ok_or(BAD_STATUS)?;
    let is_text = |byte: &u8| !byte.is_ascii_control() || *byte == b'\t';
    if !matches!(reason, [] | [b' ', ..]) || !reason.iter().all(is_text) {
        return Err(BAD_STATUS.into());
    }
    Ok((
        StatusCode::from_bytes(code).map_err(|_| "bad response status")?,
        version,
    ))
}

/// What the headers say about framing and connection.
#[derive(Default)]
struct FramingInfo {
    length: Option<u64>,
    /// Transfer-Encoding: chunked, which is removed here.
    chunked: bool,
    /// Keep-alive or close, where a `Connection` says only that. It is removed here: most servers
    /// send one, and later steps need not look for it.
    stays: Option<bool>,
    /// A `Connection` with other options is left.
    nominates: bool,
    /// Other hop-by-hop headers are left.
    hop_fields: bool,
}

/// One pass over the headers: fills the map and notes what matters for framing.
fn read_fields(
    headers: &mut HeaderMap,
    bytes: &Bytes,
    lines: &Lines,
) -> Result<FramingInfo, Problem> {
    let mut info = FramingInfo::default();
    for line in lines.fields_from(0) {
        let text = &bytes[line.clone()];
        let (name, start, value) = fields::split(text).map_err(|why| no_field(text, why))?;
        match name {
            header::CONTENT_LENGTH => info.length(value)?,
            header::TRANSFER_ENCODING => {
                info.transfer_encoding(value)?;
                continue;
            }
            header::CONNECTION => match plain_connection(value) {
                Some(stays) => {
                    info.stays = Some(stays && info.stays != Some(false));
                    continue;
                }
                None => (info.nominates, info.hop_fields) = (true, true),
            },
            _ => info.hop_fields |= hop_by_hop::ends_here(&name),
        }
        let start = line.start + start;
        let value = HeaderValue::from_maybe_shared(bytes.slice(start..start + value.len()))
            .map_err(|_| wrong(&name, "has a control character in its value"))?;
        headers.append(name, value);
    }
    Ok(info)
}

fn wrong(name: &HeaderName, what: &str) -> Problem {
    format!("the response header {name} {what}").into()
}

/// Shows the start of an invalid name. A folded line is not shown: it continues a value.
fn no_field(text: &[u8], why: NoField) -> Problem {
    let (text, what) = match why {
        NoField::NoColon => (text, "no colon"),
        NoField::Name(length) => (&text[..length], "a malformed name"),
    };
    if matches!(text, [b' ' | b'\t', ..]) {
        return "a response header is folded over two lines".into();
    }
    let shown = text.split(|byte| *byte == b':').next().unwrap_or_default();
    let shown = shown.strip_suffix(b"\r").unwrap_or(shown);
    let shown = shown[..shown.len().min(SHOWN)].escape_ascii();
    format!("a response header has {what}: \"{shown}\"").into()
}

fn plain_connection(value: &[u8]) -> Option<bool> {
    let stays = value.eq_ignore_ascii_case(b"keep-alive");
    (stays || value.eq_ignore_ascii_case(b"close")).then_some(stays)
}

impl FramingInfo {
    fn length(&mut self, value: &[u8]) -> Result<(), Problem> {
        if self.length.is_some() {
            return Err(wrong(&header::CONTENT_LENGTH, "is present twice"));
        }
        let length = fields::length(value);
        self.length =
            Some(length.ok_or_else(|| wrong(&header::CONTENT_LENGTH, "is not a single number"))?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Problem> {
        if self.chunked {
            return Err(wrong(&header::TRANSFER_ENCODING, "is present twice"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(wrong(&header::TRANSFER_ENCODING, "is not chunked"));
        }
        self.chunked = true;
        Ok(())
    }
}

/// RFC 9112 section 6.3, strictly.
fn framing(info: &FramingInfo, head: &Parts, bodiless: bool) -> Result<Decoder, Problem> {
    if info.chunked && info.length.is_some() {
        return Err("the response has content-length and transfer-encoding".into());
    }
    if info.chunked && head.version != Version::HTTP_11 {
        return Err("the response has transfer-encoding with HTTP/1.0".into());
    }
    let bodiless = bodiless
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        );
    Ok(match info.length {
        _ if bodiless => Decoder::empty(),
        _ if info.chunked => Decoder::chunked(ENDPOINT_LINE),
        Some(length) => Decoder::length(length),
        None => Decoder::until_close(),
    })
}

fn keeps_alive(info: &FramingInfo, head: &Parts) -> bool {
    if info.stays == Some(false) {
        return false;
    }
    let by_itself = info.stays.unwrap_or(head.version == Version::HTTP_11);
    if !info.nominates {
        return by_itself;
    }
    let says = |what: &str| {
        let mut values = head.headers.get_all(header::CONNECTION).iter();
        values.any(|value| fields::lists(value.as_bytes(), what.as_bytes()))
    };
    (by_itself || says("keep-alive")) && !says("close")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    const LIMIT: u16 = 100;

    fn parse_final(wire: &str, method: &Method) -> Result<(FinalHead, usize), Problem> {
        let mut buffer = BytesMut::from(wire);
        let mut fields = HeaderMap::new();
        fields.insert("x-of-the-request", HeaderValue::from_static("gone"));
        match parse(
            &mut buffer,
            &mut Lines::default(),
            &mut fields,
            *method == Method::HEAD,
            LIMIT,
        )? {
            Some(Head::Final(answer)) => Ok((answer, buffer.len())),
            Some(Head::Informational(_)) => Err("informational".into()),
            None => Err("not complete".into()),
        }
    }

    #[test]
    fn a_body_is_framed_as_rfc_9112_section_6_3_says() {
        for (head, method, left, keeps) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Method::GET,
                Some(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Method::HEAD,
                Some(0),
                true,
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\n",
                Method::GET,
                Some(0),
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
                Method::GET,
                Some(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                Method::GET,
                None,
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Method::GET, None, false),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
                Method::GET,
                Some(0),
                false,
            ),
        ] {
            let (answer, _) = parse_final(head, &method).unwrap();
            assert_eq!(
                (answer.decoder.left(), answer.keep_alive),
                (left, keeps),
                "{method} {head}"
            );
        }
    }

    #[test]
    fn a_connection_stays_open_only_when_nothing_speaks_against_it() {
        for (fields, version, keeps) in [
            ("", "1.1", true),
            ("connection: keep-alive\r\n", "1.1", true),
            ("Connection: Close\r\n", "1.1", false),
            (
                "connection: close\r\nconnection: keep-alive\r\n",
                "1.1",
                false,
            ),
            (
                "connection: keep-alive\r\nconnection: close\r\n",
                "1.1",
                false,
            ),
            (
                "connection: keep-alive\r\nconnection: x-a, close\r\n",
                "1.1",
                false,
            ),
            ("connection: x-a, keep-alive\r\n", "1.1", true),
            ("", "1.0", false),
            ("connection: keep-alive\r\n", "1.0", true),
        ] {
            let wire = format!("HTTP/{version} 200 OK\r\ncontent-length: 0\r\n{fields}\r\n");
            let (answer, _) = parse_final(&wire, &Method::GET).unwrap();
            assert_eq!(answer.keep_alive, keeps, "{wire}");
        }
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_are_errors() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length:\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "a: b\r\n c\r\n",
            "a : b\r\n",
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert!(parse_final(&wire, &Method::GET).is_err(), "{wire}");
        }
        assert!(
            parse_final(
                "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                &Method::GET
            )
            .is_err()
        );
    }

    #[test]
    fn what_is_no_head_of_http_1_is_an_error() {
        for wire in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 2e1 OK\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\n\r\n",
            "HTTP/1.1 200 O\rK\r\n\r\n",
            "\rHTTP/1.1 200 OK\r\n\r\n",
            " HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0\r\n\r\n",
            "HTTP/1.1 200 OK\r\na\u{e9}: b\r\n\r\n",
            "HTTP/1.1 103 Early\r\nbad name: b\r\n\r\n",
        ] {
            let refused = parse_final(wire, &Method::GET).map(drop);
            assert!(
                refused.is_err_and(|why| why != "not complete" && why != "informational"),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn a_head_has_as_many_fields_as_the_limit_says() {
        let read = |count: usize, limit| {
            let fields: String = (0..count)
                .map(|number| format!("a: {number}\r\n"))
                .collect();
            let mut wire = BytesMut::from(&*format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            match parse(
                &mut wire,
                &mut Lines::default(),
                &mut HeaderMap::new(),
                true,
                limit,
            )? {
                Some(Head::Final(answer)) => Ok(answer.head.headers),
                _ => Err(Problem::from("not complete")),
            }
        };
        for (count, limit) in [
            (0, 1),
            (1, 1),
            (99, 100),
            (100, 100),
            (101, 101),
            (102, 102),
            (1000, 1000),
        ] {
            let fields = read(count, limit).unwrap();
            let values = fields
                .values()
                .map(|value| value.to_str().unwrap().parse::<usize>().unwrap());
            assert!(values.eq(0..count), "{count}");
        }
        for (count, limit) in [(2, 1), (101, 100), (102, 101), (1001, 1000)] {
            let expected = format!("the response has more than {limit} headers (limits.headers)");
            assert_eq!(read(count, limit).err().unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_names_the_field_and_shows_no_value() {
        for (fields, expected) in [
            (
                "content-length: 1\r\ncontent-length: 1\r\n",
                "the response header content-length is present twice",
            ),
            (
                "content-length: 1, 1\r\n",
                "the response header content-length is not a single number",
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                "the response header transfer-encoding is not chunked",
            ),
            (
                "x-a: secret\0\r\n",
                "the response header x-a has a control character in its value",
            ),
            (
                "x-a: b\r\n secret\r\n",
                "a response header is folded over two lines",
            ),
            ("x-a\r\n", "a response header has no colon: \"x-a\""),
            (
                "x a\u{1}: secret\r\n",
                "a response header has a malformed name: \"x a\\x01\"",
            ),
            (
                "set-cookie : secret\r\n",
                "a response header has a malformed name: \"set-cookie \"",
            ),
            (
                &format!("x{}\r\n", "y".repeat(100)),
                &format!("a response header has no colon: \"x{}\"", "y".repeat(31)),
            ),
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(parse_final(&wire, &Method::GET).err().unwrap(), expected);
        }
    }

    #[test]
    fn lines_may_end_without_cr_and_space_around_a_value_is_no_part_of_it() {
        let wire = "\r\n\nHTTP/1.1 200\nA:b\nc:\t d e \t\r\nE:\r\nf:  \n\nabc";
        let (answer, rest) = parse_final(wire, &Method::HEAD).unwrap();
        let fields: Vec<_> = answer
            .head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(fields, [("a", "b"), ("c", "d e"), ("e", ""), ("f", "")]);
        assert_eq!((rest, answer.head.status), (3, StatusCode::OK));
        assert_eq!(
            parse_final("HTTP/1.1 204 \r\n\r\n", &Method::GET)
                .unwrap()
                .0
                .head
                .status,
            204
        );
    }

    #[test]
    fn fields_for_this_hop_are_told() {
        for (fields, expected) in [
            (
                "connection: keep-alive\r\ntransfer-encoding: chunked\r\nserver: x\r\n",
                false,
            ),
            ("keep-alive: timeout=5\r\n", true),
            ("connection: x-a\r\n", true),
            ("upgrade: websocket\r\n", true),
            ("proxy-authenticate: Basic\r\n", true),
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let (answer, _) = parse_final(&wire, &Method::GET).unwrap();
            assert_eq!(answer.has_hop_fields, expected, "{fields}");
            assert!(!answer.head.headers.contains_key(header::TRANSFER_ENCODING));
        }
    }

    #[test]
    fn a_head_is_read_the_same_however_it_arrives() {
        let wire = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx: y\r\n\r\n";
        for cut in 1..wire.len() {
            assert_eq!(
                parse_final(&wire[..cut], &Method::GET).err(),
                Some("not complete".into()),
                "{cut}"
            );
        }
        assert!(parse_final(wire, &Method::GET).is_ok());
    }

    #[test]
    fn what_follows_the_head_stays_in_the_buffer() {
        let (answer, rest) = parse_final(
            "HTTP/1.1 200 Fine\r\ncontent-length: 3\r\n\r\nabc",
            &Method::GET,
        )
        .unwrap();
        assert_eq!((answer.head.status, rest), (StatusCode::OK, 3));
        assert_eq!(
            answer
                .head
                .headers
                .keys()
                .map(HeaderName::as_str)
                .collect::<Vec<_>>(),
            ["content-length"]
        );
        assert_eq!(
            parse_final("HTTP/1.1 200 OK\r\ncontent-le", &Method::GET).err(),
            Some("not complete".into())
        );
        assert_eq!(
            parse_final("HTTP/1.1 103 Early Hints\r\n\r\n", &Method::GET).err(),
            Some("informational".into())
        );
    }
}
