//! Reads request heads strictly: an ambiguous head is rejected (RFC 9112 sections 2 to 5).
//!
//! Bytes that no head can contain are rejected when they arrive, not at the end of the head.
//! Everything that depends on the text alone is checked here: line ends, the request line, names
//! and values, lengths and transfer codings. The rules about Host and targets are in
//! `outrigger_filters::framing`, which HTTP/2 shares.

use std::{borrow::Cow, ops::Range};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request::Parts,
    uri::PathAndQuery,
};

use super::response::RequestInfo;
use crate::codec::{
    decode::{CLIENT_LINE, Decoder},
    fields,
    lines::{LineEnd, Lines, Stop},
    target,
};

/// The longest method: registered ones have 17 bytes at most.
const METHOD_BYTES: usize = 64;

/// The longest target that can be stored; `limits.targetBytes` is lower and checked later.
const TARGET_BYTES: usize = 65_534;

/// A complete head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) decoder: Decoder,
    /// What the response depends on.
    pub(super) request: RequestInfo,
    /// The client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub(super) expects: bool,
}

/// Why a head is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It is invalid or ambiguous.
    Malformed,
    /// The HTTP/2 preface (RFC 9113 section 3.4): its sender would not understand an HTTP/1.1
    /// response.
    Preface,
    /// More bytes or headers than the listener allows.
    TooLarge,
    /// A target longer than [`TARGET_BYTES`].
    TargetTooLong,
}

/// The listener's limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) fields: usize,
}

/// The scan position in a head.
#[derive(Debug, Default)]
pub(super) struct Scan {
    lines: Lines,
    /// Spaces in the request line, while it is incomplete.
    spaces: usize,
    request: Option<RequestLine>,
}

/// The positions of the parts of a request line.
#[derive(Debug)]
struct RequestLine {
    method: Range<usize>,
    target: Range<usize>,
    version: Version,
}

impl Scan {
    /// Starts with the next head.
    pub(super) fn restart(&mut self) {
        self.lines.restart();
        (self.spaces, self.request) = (0, None);
    }

    /// Takes a complete head from the front of `buffer`; `None` while it is incomplete. The headers
    /// go into `fields`, which is taken and should be empty.
    pub(super) fn take(
        &mut self,
        buffer: &mut BytesMut,
        fields: &mut HeaderMap,
        limits: Limits,
    ) -> Result<Option<Head>, Rejection> {
        let Some(length) = self.find_end(buffer, limits)? else {
            return Ok(None);
        };
        let bytes = buffer.split_to(length).freeze();
        let head = self.read(&bytes, fields);
        self.restart();
        head.map(Some)
    }

    /// The length of the complete head.
    fn find_end(&mut self, buffer: &[u8], limits: Limits) -> Result<Option<usize>, Rejection> {
        let (from, known) = (self.lines.searched(), self.lines.field_count());
        let found = (self.lines).find(buffer, limits.bytes, limits.fields, LineEnd::CrLf);
        if self.request.is_none()
            && let Some(line) = self.lines.first()
        {
            let text = &buffer[line.start..line.end - 1];
            self.request = Some(RequestLine::read(text, line.start)?);
        }
        match found {
            Ok(Some(length)) => return Ok(Some(length)),
            Ok(None) => {}
            Err(Stop::Bytes) => return Err(self.too_large(buffer)),
            Err(Stop::Fields) => return Err(Rejection::TooLarge),
            Err(Stop::BareLf) => return Err(Rejection::Malformed),
        }
        match self.too_large(buffer) {
            Rejection::TooLarge if buffer.len() >= limits.bytes => Err(Rejection::TooLarge),
            Rejection::TooLarge if self.can_go_on(buffer, from, known) => Ok(None),
            _ => Err(Rejection::Malformed),
        }
    }

    /// Whether an incomplete head can still become valid. Checks what is new: the bytes from `from`
    /// on, and the lines after the first `known` ones. Without this check the client of an invalid
    /// head would get its response only after the time limit of the head.
    fn can_go_on(&mut self, buffer: &[u8], from: usize, known: usize) -> bool {
        // The byte before may be a CR that waits for its LF.
        let new = &buffer[from.saturating_sub(1)..];
        let fields_fit = (self.lines.fields_from(known)).all(|line| begins_a_field(&buffer[line]));
        has_only_line_ends_and_text(new)
            && fields_fit
            && (self.request.is_some() || self.request_line_can_go_on(buffer, from))
    }

    /// The same for an incomplete request line.
    fn request_line_can_go_on(&mut self, buffer: &[u8], from: usize) -> bool {
        let begin = self.lines.open_line();
        let line = &buffer[begin..];
        let new = &buffer[from.max(begin)..];
        self.spaces += memchr::memchr_iter(b' ', new).count();
        let version_fits = match self.spaces {
            0 | 1 => true,
            2 => {
                let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
                let known: &[&[u8]] = match line.starts_with(b"PRI * ") {
                    true => &[b"HTTP/1.1\r", b"HTTP/1.0\r", b"HTTP/2.0\r"],
                    false => &[b"HTTP/1.1\r", b"HTTP/1.0\r"],
                };
                known.iter().any(|known| known.starts_with(version))
            }
            _ => false,
        };
        version_fits && memchr::memchr(b'\t', new).is_none()
    }

    /// The error of a head that is too large. An invalid head is reported as such, as it would be
    /// had it arrived more slowly.
    fn too_large(&self, buffer: &[u8]) -> Rejection {
        let can_be_one = self.request.is_some() || begins_well(&buffer[self.lines.open_line()..]);
        if can_be_one {
            Rejection::TooLarge
        } else {
            Rejection::Malformed
        }
    }

    fn read(&self, bytes: &Bytes, fields: &mut HeaderMap) -> Result<Head, Rejection> {
        let line = self.request.as_ref().ok_or(Rejection::Malformed)?;
        let method =
            Method::from_bytes(&bytes[line.method.clone()]).map_err(|_| Rejection::Malformed)?;
        let uri = read_target(bytes, &line.target, &method)?;
        let mut info = FramingInfo::default();
        fields
            .try_reserve(self.lines.field_count())
            .map_err(|_| Rejection::TooLarge)?;
        for field in self.lines.fields_from(0) {
            info.field(bytes, field, line.version, fields)?;
        }
        let decoder = info.decoder()?;
        let request = RequestInfo {
            version: line.version,
            only_head: method == Method::HEAD,
            keep_alive: !info.close && (line.version == Version::HTTP_11 || info.keep_alive),
            trailers: info.te_trailers,
        };
        let expects = info.expects && line.version == Version::HTTP_11 && !decoder.is_done();
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version) = (method, uri, line.version);
        parts.headers = std::mem::take(fields);
        Ok(Head {
            parts,
            decoder,
            request,
            expects,
        })
    }
}

impl RequestLine {
    /// Method, target and version with one space between them (RFC 9112 section 3).
    fn read(text: &[u8], at: usize) -> Result<Self, Rejection> {
        let (version, rest) = match text.split_last_chunk::<9>() {
            Some((rest, b" HTTP/1.1")) => (Version::HTTP_11, rest),
            Some((rest, b" HTTP/1.0")) => (Version::HTTP_10, rest),
            _ if text == b"PRI * HTTP/2.0" => return Err(Rejection::Preface),
            _ => return Err(Rejection::Malformed),
        };
        let space = rest
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or(Rejection::Malformed)?;
        let target = &rest[space + 1..];
        // Without an early exit, so that the loop is vectorized. A fragment is never sent (RFC 9112
        // section 3.2): software that cuts it off would see another target than software that does
        // not.
        let bad = target.iter().fold(false, |bad, byte| {
            bad | (*byte <= b' ') | matches!(byte, b'#' | 0x7f)
        });
        if bad || target.is_empty() || !begins_well(&rest[..=space]) {
            return Err(Rejection::Malformed);
        }
        Ok(Self {
            method: at..at + space,
            target: at + space + 1..at + rest.len(),
            version,
        })
    }
}

/// The target as it is routed and forwarded. Characters that a URI must not contain are encoded. An
/// absolute-form target of OPTIONS without path and query becomes `*` (RFC 9112 section 3.2.4).
fn read_target(bytes: &Bytes, place: &Range<usize>, method: &Method) -> Result<Uri, Rejection> {
    let target = match target::encoded(&bytes[place.clone()]) {
        Cow::Borrowed(_) => bytes.slice(place.clone()),
        Cow::Owned(encoded) => Bytes::from(encoded),
    };
    if target.len() > TARGET_BYTES {
        return Err(Rejection::TargetTooLong);
    }
    let is_server = *method == Method::OPTIONS && target::has_only_authority(&target);
    let uri = Uri::from_maybe_shared(target).map_err(|_| Rejection::Malformed)?;
    if !is_server {
        return Ok(uri);
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("*"));
    Uri::from_parts(parts).map_err(|_| Rejection::Malformed)
}

/// Whether this can become a request line, judged by its method.
fn begins_well(text: &[u8]) -> bool {
    let method = text
        .iter()
        .take(METHOD_BYTES + 1)
        .take_while(|byte| is_token(**byte))
        .count();
    match text.get(method) {
        _ if method > METHOD_BYTES => false,
        None => true,
        Some(b' ') => method > 0,
        Some(b'\r') => method == 0 && text.len() == 1,
        Some(_) => false,
    }
}

/// Whether every CR is followed by LF, or may still be, and there are no other control bytes but
/// tabs. LF itself is not checked.
fn has_only_line_ends_and_text(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', bytes).all(|cr| matches!(bytes.get(cr + 1), None | Some(b'\n')))
        && !has_control(bytes)
}

/// Whether there is a control byte other than tab, CR and LF. Checks eight bytes at a time, since a
/// client can send many.
fn has_control(bytes: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let is_control =
        |byte: &u8| (*byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')) || *byte == 0x7f;
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words = words.iter().any(|eight| {
        let word = u64::from_le_bytes(*eight);
        // The highest bit of each byte below a space, and of each DEL.
        let low = word.wrapping_sub(EACH * 0x20) & !word;
        let other_than_del = word ^ (EACH * 0x7f);
        let del = other_than_del.wrapping_sub(EACH) & !other_than_del;
        (low | del) & (EACH * 0x80) != 0 && eight.iter().any(is_control)
    });
    in_words || rest.iter().any(is_control)
}

/// Whether a line starts with a name and a colon.
fn begins_a_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| is_token(**byte)).count();
    name > 0 && line.get(name) == Some(&b':')
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What the headers say about framing and connection.
#[derive(Default)]
struct FramingInfo {
    length: Option<u64>,
    /// Whether the last Transfer-Encoding ends with `chunked`.
    chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
    expects: bool,
    te_trailers: bool,
}

impl FramingInfo {
    /// Adds one line, with its CR, to the map, and notes what matters for framing.
    fn field(
        &mut self,
        bytes: &Bytes,
        line: Range<usize>,
        version: Version,
        fields: &mut HeaderMap,
    ) -> Result<(), Rejection> {
        let (name, start, value) =
            fields::split(&bytes[line.clone()]).map_err(|_| Rejection::Malformed)?;
        if !self.note(&name, value, version)? {
            return Ok(());
        }
        let start = line.start + start;
        let value = HeaderValue::from_maybe_shared(bytes.slice(start..start + value.len()))
            .map_err(|_| Rejection::Malformed)?;
        fields
            .try_append(name, value)
            .map(drop)
            .map_err(|_| Rejection::TooLarge)
    }

    /// Notes a header that matters for framing; returns whether it stays in the map.
    /// Transfer-Encoding stays, so that an error in it, or a length beside it, is rejected with its
    /// own reason.
    fn note(
        &mut self,
        name: &HeaderName,
        value: &[u8],
        version: Version,
    ) -> Result<bool, Rejection> {
        match *name {
            // RFC 9110 section 8.6: a repeated equal number is one number.
            header::CONTENT_LENGTH => {
                let length = fields::length(value).ok_or(Rejection::Malformed)?;
                return match self.length.replace(length) {
                    None => Ok(true),
                    Some(before) if before == length => Ok(false),
                    Some(_) => Err(Rejection::Malformed),
                };
            }
            header::TRANSFER_ENCODING if version < Version::HTTP_11 => {
                return Err(Rejection::Malformed);
            }
            header::TRANSFER_ENCODING => {
                let last = fields::tokens(value).last();
                self.chunked = Some(last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")));
            }
            header::CONNECTION => {
                self.close |= fields::lists(value, b"close");
                self.keep_alive |= fields::lists(value, b"keep-alive");
            }
            header::EXPECT => self.expects = value.eq_ignore_ascii_case(b"100-continue"),
            header::TE => self.te_trailers |= fields::lists(value, b"trailers"),
            _ => {}
        }
        Ok(true)
    }

    /// RFC 9112 section 6.3, for requests.
    fn decoder(&self) -> Result<Decoder, Rejection> {
        match (self.chunked, self.length) {
            (Some(false), _) => Err(Rejection::Malformed),
            (Some(true), _) => Ok(Decoder::chunked(CLIENT_LINE)),
            (None, length) => Ok(Decoder::length(length.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1024,
        fields: 4,
    };

    fn take(bytes: &[u8]) -> Result<Option<(Head, usize)>, Rejection> {
        let mut buffer = BytesMut::from(bytes);
        let head = Scan::default().take(&mut buffer, &mut HeaderMap::new(), LIMITS)?;
        Ok(head.map(|head| (head, buffer.len())))
    }

    fn taken(text: &str) -> Head {
        take(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn a_head_is_taken_to_the_byte_and_the_rest_is_left() {
        let (head, left) =
            take(b"\r\n\r\nGET /a?b HTTP/1.1\r\nHost:a\r\nX: \t y z \t\r\nX:\r\n\r\nGET")
                .unwrap()
                .unwrap();
        assert_eq!(
            (head.parts.method, head.parts.uri.to_string(), left),
            (Method::GET, "/a?b".into(), 3)
        );
        assert_eq!(head.parts.headers["host"], "a");
        assert_eq!(
            head.parts.headers.get_all("x").iter().collect::<Vec<_>>(),
            ["y z", ""]
        );
        assert!(head.request.keep_alive && head.decoder.is_done() && !head.expects);
    }

    #[test]
    fn a_target_is_read_as_it_is_sent_on() {
        for (method, target, wanted) in [
            ("GET", "/{a}?\"\u{e9}", "/%7Ba%7D?%22%C3%A9"),
            ("GET", "http://h?q=1", "/?q=1"),
            ("GET", "http://h", "/"),
            ("OPTIONS", "http://h:81", "*"),
            ("OPTIONS", "http://h/", "/"),
            ("OPTIONS", "http://h?", "/?"),
            ("OPTIONS", "*", "*"),
            ("OPTIONS", "/", "/"),
        ] {
            let uri = taken(&format!("{method} {target} HTTP/1.1\r\n\r\n"))
                .parts
                .uri;
            assert_eq!(
                uri.path_and_query().unwrap().as_str(),
                wanted,
                "{method} {target}"
            );
            assert_eq!(
                uri.host(),
                target.starts_with("http").then_some("h"),
                "{method} {target}"
            );
        }
        // The encoded length counts, as it is forwarded.
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "{".repeat(TARGET_BYTES / 2));
        let limits = Limits {
            bytes: 1 << 20,
            fields: 4,
        };
        let refused =
            Scan::default().take(&mut BytesMut::from(&*long), &mut HeaderMap::new(), limits);
        assert_eq!(refused.map(|_| ()), Err(Rejection::TargetTooLong));
    }

    #[test]
    fn limits_hold_to_the_byte_and_the_field() {
        let of = |length: usize| {
            let text = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(length - 23));
            assert_eq!(text.len(), length);
            take(text.as_bytes()).map(|head| head.is_some())
        };
        assert_eq!((of(1024), of(1025)), (Ok(true), Err(Rejection::TooLarge)));
        assert_eq!(
            take(&[b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'y'; 1005]].concat()).map(|_| ()),
            Err(Rejection::TooLarge)
        );
        let fields =
            |count| take(format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(count)).as_bytes());
        assert!(fields(4).unwrap().is_some());
        assert_eq!(fields(5).map(|_| ()), Err(Rejection::TooLarge));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(TARGET_BYTES));
        let limits = Limits {
            bytes: 1 << 20,
            fields: 4,
        };
        let refused =
            Scan::default().take(&mut BytesMut::from(&*long), &mut HeaderMap::new(), limits);
        assert_eq!(refused.map(|_| ()), Err(Rejection::TargetTooLong));
    }

    #[test]
    fn what_can_be_no_head_is_refused_before_it_ends() {
        for text in [
            "\x16",
            "\n",
            "GET\t",
            "G\0",
            "GET / HTTP/1.1\n",
            "GET / HTTP/2.0\r\n",
            "\rG",
            " ",
            "GET / HTTP/1.1\r\nX: y\n",
            "GET /a\rb",
            "GET /\r ",
            "GET /a\0",
            "GET /a\t",
            "GET /a\x7f",
            "GET / HTTP/1.1\rX",
            "GET / HTTP/1.1\r\r",
            "\r\nGET /a\rb",
            "GET / a",
            "GET / http",
            "GET / HTTP/2",
            "GET / HTTP/1.2",
            "GET / HTTP/1.10",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1\t",
            "GET /a b ",
            "PRI / HTTP/2",
            "GET / HTTP/1.1\r\nX: a\rb",
            "GET / HTTP/1.1\r\nX\r:",
            "GET / HTTP/1.1\r\nX: a\rb\r\n",
            "GET / HTTP/1.1\r\nX: a\0",
            "GET / HTTP/1.1\r\nX: a\x1bb\r\nY: c\r\n",
            "GET / HTTP/1.1\r\nX: a\x7f",
            "GET / HTTP/1.1\r\nX\r\n",
            "GET / HTTP/1.1\r\n: y\r\n",
            "GET / HTTP/1.1\r\nX : y\r\n",
            "GET / HTTP/1.1\r\nX: y\r\n z\r\n",
        ] {
            assert_eq!(
                take(text.as_bytes()).map(|_| ()),
                Err(Rejection::Malformed),
                "{text:?}"
            );
            // The same byte by byte; rejected with the last byte at the latest.
            let (mut scan, mut buffer) = (Scan::default(), BytesMut::new());
            let refused = text.bytes().find_map(|byte| {
                buffer.extend_from_slice(&[byte]);
                scan.take(&mut buffer, &mut HeaderMap::new(), LIMITS).err()
            });
            assert_eq!(refused, Some(Rejection::Malformed), "{text:?} byte by byte");
        }
        for text in [
            "\r",
            "\r\n",
            "\r\n\r",
            "G",
            "GET",
            "GET ",
            "GET / HTTP/1.1\r",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\n\r",
            "GET /a#",
            "GET / ",
            "GET / HTTP/1.0\r",
            "PRI * HTTP/2.0\r",
            "GET / HTTP/1.1\r\nX: a\r",
            "GET / HTTP/1.1\r\nX:\ta \u{e9}\r\nY",
        ] {
            assert!(take(text.as_bytes()).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_control_byte_is_found_wherever_it_stands() {
        let text = "Caf\u{e9} \t ~!\u{ff}\r\n a";
        for byte in 0..=255_u8 {
            for place in 0..=text.len() {
                let bytes = [
                    &text.as_bytes()[..place],
                    &[byte],
                    &text.as_bytes()[place..],
                ]
                .concat();
                let expected =
                    (byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n')) || byte == 0x7f;
                assert_eq!(has_control(&bytes), expected, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn the_client_says_how_its_connection_goes_on() {
        for (version, fields, keeps) in [
            ("1.1", "", true),
            ("1.1", "Connection: Close\r\n", false),
            ("1.1", "Connection: x, close\r\n", false),
            (
                "1.1",
                "Connection: close\r\nConnection: keep-alive\r\n",
                false,
            ),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            ("1.0", "Connection: x\r\nConnection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = taken(&format!("GET / HTTP/{version}\r\n{fields}\r\n"));
            assert_eq!(head.request.keep_alive, keeps, "{version} {fields}");
        }
        let post = |version, fields| taken(&format!("POST / HTTP/{version}\r\n{fields}\r\n"));
        assert!(post("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n").expects);
        assert!(
            !post("1.1", "Expect: 100-continue\r\n").expects,
            "there is no body to wait for"
        );
        assert!(!post("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n").expects);
        assert!(post("1.1", "TE: gzip, Trailers\r\n").request.trailers);
        assert_eq!(
            post("1.1", "Transfer-Encoding: Chunked\r\n").decoder.left(),
            None
        );
        assert_eq!(
            post("1.1", "Content-Length: 007\r\n").decoder.left(),
            Some(7)
        );
    }

    #[test]
    fn one_map_serves_many_heads() {
        let mut fields = HeaderMap::with_capacity(8);
        let mut scan = Scan::default();
        let mut buffer =
            BytesMut::from("GET / HTTP/1.1\r\na: 1\r\n\r\nGET / HTTP/1.1\r\nb: 2\r\n\r\n");
        for name in ["a", "b"] {
            let head = scan
                .take(&mut buffer, &mut fields, LIMITS)
                .unwrap()
                .unwrap();
            assert_eq!(head.parts.headers.keys().collect::<Vec<_>>(), [name]);
            assert!(head.parts.headers.capacity() >= 8);
            fields = head.parts.headers;
            fields.clear();
        }
    }
}
