//! Reads response heads, and decides how the body is framed: in one way, or not at all.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header,
    response::{self, Parts},
};

use outrigger_filters::service::Body;

use super::decode::Decoder;

/// Fields of a response.
const MOST_FIELDS: usize = 100;

/// A complete head.
pub(super) enum Head {
    /// 1xx other than 101: the final one is still to come.
    Informational(StatusCode),
    /// The answer.
    Final(Answer),
}

/// A final response head.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) decoder: Decoder,
    pub(super) keep_alive: bool,
}

/// Where a field stands in the head.
#[derive(Clone, Copy, Default)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

/// Takes a complete head from the front of `buffer`; `None` while it is not complete.
///
/// The fields of a final answer go where those of `request` were: it has been sent and goes nowhere again. hyper uses
/// the map of an answer for the next request, so one map serves a client connection for all its life.
pub(super) fn parse(
    buffer: &mut BytesMut,
    request: &mut Request<Body>,
) -> Result<Option<Head>, &'static str> {
    let mut fields = [Field::default(); MOST_FIELDS];
    let Some((length, count, status, version)) = scan(buffer, &mut fields)? else { return Ok(None) };
    let bytes = buffer.split_to(length).freeze();
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Head::Informational(status)));
    }
    let (mut head, ()) = response::Response::new(()).into_parts();
    head.status = status;
    head.version = version;
    head.headers = std::mem::take(request.headers_mut());
    let persistence = read_fields(&mut head.headers, &bytes, &fields[..count])?;
    let decoder = framing(&head, request.method())?;
    let keep_alive = persistence.unwrap_or_else(|| keeps_alive(&head)) && !decoder.ends_with_connection();
    Ok(Some(Head::Final(Answer { head, decoder, keep_alive })))
}

type Scanned = (usize, usize, StatusCode, Version);

fn scan(buffer: &[u8], fields: &mut [Field; MOST_FIELDS]) -> Result<Option<Scanned>, &'static str> {
    let mut parsed = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        buffer,
        &mut parsed,
    );
    let length = match result {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("more than 100 response fields"),
        Err(_) => return Err("malformed response head"),
    };
    let start = buffer.as_ptr() as usize;
    let range = |part: &[u8]| {
        let from = part.as_ptr() as usize - start;
        (from as u32, (from + part.len()) as u32)
    };
    for (field, one) in fields.iter_mut().zip(response.headers.iter()) {
        *field = Field { name: range(one.name.as_bytes()), value: range(one.value) };
    }
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("bad response status")?;
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    Ok(Some((length, response.headers.len(), status, version)))
}

/// The fields, and whether the connection stays open where that is plain. `Connection: keep-alive` and `close`, which
/// most servers send and which nominate nothing, end here: they need not be looked up and removed again.
fn read_fields(
    headers: &mut HeaderMap,
    bytes: &Bytes,
    fields: &[Field],
) -> Result<Option<bool>, &'static str> {
    headers.clear();
    headers.reserve(fields.len());
    let mut persistence = None;
    for field in fields {
        let name = HeaderName::from_bytes(&bytes[field.name.0 as usize..field.name.1 as usize])
            .map_err(|_| "malformed response field name")?;
        let value = bytes.slice(field.value.0 as usize..field.value.1 as usize);
        if name == header::CONNECTION
            && let Some(stays) = plain_connection(&value)
        {
            persistence = Some(stays && persistence != Some(false));
            continue;
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| "malformed response field value")?;
        headers.append(name, value);
    }
    let mixed = headers.contains_key(header::CONNECTION);
    Ok(persistence.filter(|stays| !(mixed && *stays)))
}

fn plain_connection(value: &[u8]) -> Option<bool> {
    let stays = value.eq_ignore_ascii_case(b"keep-alive");
    (stays || value.eq_ignore_ascii_case(b"close")).then_some(stays)
}

/// RFC 9112 section 6.3, without the leniency.
fn framing(head: &Parts, method: &Method) -> Result<Decoder, &'static str> {
    let length = content_length(&head.headers)?;
    let chunked = is_chunked(head)?;
    if chunked && length.is_some() {
        return Err("Content-Length with Transfer-Encoding");
    }
    let bodiless = *method == Method::HEAD
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        );
    Ok(match length {
        _ if bodiless => Decoder::empty(),
        _ if chunked => Decoder::chunked(),
        Some(length) => Decoder::length(length),
        None => Decoder::until_close(),
    })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    const BAD: &str = "a Content-Length that is not one number";
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    value.to_str().ok().and_then(|digits| digits.parse().ok()).map(Some).ok_or(BAD)
}

fn is_chunked(head: &Parts) -> Result<bool, &'static str> {
    let mut values = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(false) };
    if values.next().is_some() || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err("a Transfer-Encoding other than chunked");
    }
    if head.version != Version::HTTP_11 {
        return Err("Transfer-Encoding with HTTP/1.0");
    }
    Ok(true)
}

fn keeps_alive(head: &Parts) -> bool {
    if head.version == Version::HTTP_11 && !head.headers.contains_key(header::CONNECTION) {
        return true;
    }
    let says = |what: &str| {
        let values = head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(what))
    };
    match head.version {
        Version::HTTP_11 => !says("close"),
        _ => says("keep-alive") && !says("close"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_final(wire: &str, method: &Method) -> Result<(Answer, usize), &'static str> {
        let mut buffer = BytesMut::from(wire);
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = method.clone();
        request.headers_mut().insert("x-of-the-request", HeaderValue::from_static("gone"));
        match parse(&mut buffer, &mut request)? {
            Some(Head::Final(answer)) => Ok((answer, buffer.len())),
            Some(Head::Informational(_)) => Err("informational"),
            None => Err("not complete"),
        }
    }

    #[test]
    fn a_body_is_framed_as_rfc_9112_section_6_3_says() {
        for (head, method, left, keeps) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Method::GET, Some(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Method::HEAD, Some(0), true),
            ("HTTP/1.1 204 No Content\r\n\r\n", Method::GET, Some(0), true),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Method::GET, Some(0), true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Method::GET, None, true),
            ("HTTP/1.1 200 OK\r\n\r\n", Method::GET, None, false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", Method::GET, Some(0), false),
        ] {
            let (answer, _) = parse_final(head, &method).unwrap();
            assert_eq!((answer.decoder.left(), answer.keep_alive), (left, keeps), "{method} {head}");
        }
    }

    #[test]
    fn a_connection_stays_open_only_when_nothing_speaks_against_it() {
        for (fields, version, keeps) in [
            ("", "1.1", true),
            ("connection: keep-alive\r\n", "1.1", true),
            ("Connection: Close\r\n", "1.1", false),
            ("connection: close\r\nconnection: keep-alive\r\n", "1.1", false),
            ("connection: keep-alive\r\nconnection: close\r\n", "1.1", false),
            ("connection: keep-alive\r\nconnection: x-a, close\r\n", "1.1", false),
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
        assert!(parse_final("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &Method::GET).is_err());
    }

    #[test]
    fn what_follows_the_head_stays_in_the_buffer() {
        let (answer, rest) =
            parse_final("HTTP/1.1 200 Fine\r\ncontent-length: 3\r\n\r\nabc", &Method::GET).unwrap();
        assert_eq!((answer.head.status, rest), (StatusCode::OK, 3));
        assert_eq!(
            answer.head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["content-length"]
        );
        assert_eq!(parse_final("HTTP/1.1 200 OK\r\ncontent-le", &Method::GET).err(), Some("not complete"));
        assert_eq!(
            parse_final("HTTP/1.1 103 Early Hints\r\n\r\n", &Method::GET).err(),
            Some("informational")
        );
    }
}
