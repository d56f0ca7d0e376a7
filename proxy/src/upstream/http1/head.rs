//! Reads response heads, and decides how the body is framed: in one way, or not at all.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header,
    response::{self, Parts},
};

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
pub(super) fn parse(buffer: &mut BytesMut, method: &Method) -> Result<Option<Head>, &'static str> {
    let mut fields = [Field::default(); MOST_FIELDS];
    let Some((length, count, status, version)) = scan(buffer, &mut fields)? else { return Ok(None) };
    let bytes = buffer.split_to(length).freeze();
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Head::Informational(status)));
    }
    let (mut head, ()) = response::Response::new(()).into_parts();
    head.status = status;
    head.version = version;
    head.headers = headers(&bytes, &fields[..count])?;
    let decoder = framing(&head, method)?;
    let keep_alive = keeps_alive(&head) && !decoder.ends_with_connection();
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

fn headers(bytes: &Bytes, fields: &[Field]) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(&bytes[field.name.0 as usize..field.name.1 as usize])
            .map_err(|_| "malformed response field name")?;
        let value = bytes.slice(field.value.0 as usize..field.value.1 as usize);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| "malformed response field value")?;
        headers.append(name, value);
    }
    Ok(headers)
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
