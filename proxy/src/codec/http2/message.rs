//! A header block as a message (RFC 9113 section 8): allowed headers, and their meaning.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request,
    response,
    uri::{Authority, PathAndQuery, Scheme},
};

use outrigger_filters::{framing::Truncated, recycle::maps};

use super::hpack::{Field, Pseudo, encoder};
use crate::codec::{fields, target};

/// A malformed message (RFC 9113 section 8.1.1): the stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The headers of a header block.
#[derive(Debug)]
pub(super) struct Fields {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    status: Option<Bytes>,
    headers: HeaderMap,
    /// Bytes counted as in RFC 9113 section 6.5.2, and the limit beyond which headers are not
    /// stored.
    size: usize,
    most: usize,
    malformed: Option<Malformed>,
}

impl Fields {
    /// No headers yet; headers beyond `most` bytes are counted and not stored.
    pub(super) fn new(most: usize) -> Self {
        Self {
            method: None,
            scheme: None,
            authority: None,
            path: None,
            status: None,
            headers: HeaderMap::new(),
            size: 0,
            most,
            malformed: None,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn take(&mut self, field: Field, size: usize) {
        self.size += size;
        let result = match field {
            Field::Malformed => Err(Malformed("an invalid header name or value")),
            Field::Pseudo(pseudo, value) => self.pseudo(pseudo, value),
            Field::Regular(name, value) if !self.is_truncated() => self.regular(name, value),
            Field::Regular(..) => Ok(()),
        };
        if let Err(malformed) = result {
            self.malformed.get_or_insert(malformed);
        }
    }

    fn pseudo(&mut self, pseudo: Pseudo, value: Bytes) -> Result<(), Malformed> {
        if !self.headers.is_empty() {
            return Err(Malformed("a pseudo-header after other headers"));
        }
        let place = match pseudo {
            Pseudo::Method => &mut self.method,
            Pseudo::Scheme => &mut self.scheme,
            Pseudo::Authority => &mut self.authority,
            Pseudo::Path => &mut self.path,
            Pseudo::Status => &mut self.status,
            Pseudo::Protocol | Pseudo::Unknown => {
                return Err(Malformed("an unknown pseudo-header"));
            }
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Malformed("a repeated pseudo-header")),
        }
    }

    fn regular(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Malformed> {
        if self.headers.capacity() == 0 {
            self.headers = maps::take();
        }
        match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(Malformed("a connection-specific header of HTTP/1.1"));
            }
            "te" if value != "trailers" => return Err(Malformed("TE is not trailers")),
            _ => {}
        }
        match self.headers.try_append(name, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(Malformed("too many headers")),
        }
    }

    fn is_truncated(&self) -> bool {
        self.size > self.most
    }

    fn has_pseudo(&self) -> bool {
        [
            &self.method,
            &self.scheme,
            &self.authority,
            &self.path,
            &self.status,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    /// The length of the body, where it is declared unambiguously.
    fn length(&self) -> Result<Option<u64>, Malformed> {
        match self.headers.get(header::CONTENT_LENGTH) {
            None => Ok(None),
            Some(value) => fields::length(value.as_bytes())
                .map(Some)
                .ok_or(Malformed("a bad Content-Length")),
        }
    }
}

/// The head of a request, and the declared length of its body.
///
/// # Errors
/// The request is malformed.
pub(super) fn request(
    mut fields: Fields,
    ends: bool,
) -> Result<(request::Parts, Option<u64>), Malformed> {
    if let Some(malformed) = fields.malformed {
        return Err(malformed);
    }
    if fields.status.is_some() {
        return Err(Malformed(":status in a request"));
    }
    let length = fields.length()?;
    if ends && length.is_some_and(|length| length > 0) {
        return Err(Malformed("a Content-Length without a body"));
    }
    let method = fields.method.take().ok_or(Malformed("no :method"))?;
    let method = Method::from_bytes(&method).map_err(|_| Malformed("a bad :method"))?;
    let uri = uri(&mut fields, &method)?;
    let is_host = |authority: &Bytes| {
        !authority.contains(&b'@') && !fields.headers.contains_key(header::HOST)
    };
    if let Some(authority) = fields.authority.take().filter(is_host)
        && let Ok(host) = HeaderValue::from_maybe_shared(authority)
    {
        // Shares the same bytes, so that no copy is needed later (RFC 9113 section 8.3.1).
        fields.headers.insert(header::HOST, host);
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    if fields.is_truncated() {
        head.extensions.insert(Truncated);
    }
    (head.method, head.uri, head.version, head.headers) =
        (method, uri, Version::HTTP_2, fields.headers);
    Ok((head, length))
}

fn uri(fields: &mut Fields, method: &Method) -> Result<Uri, Malformed> {
    let mut parts = http::uri::Parts::default();
    if let Some(authority) = &fields.authority {
        let authority = Authority::from_maybe_shared(authority.clone());
        parts.authority = Some(authority.map_err(|_| Malformed("a bad :authority"))?);
    }
    if *method == Method::CONNECT {
        if fields.scheme.is_some() || fields.path.is_some() || parts.authority.is_none() {
            return Err(Malformed("a bad CONNECT"));
        }
        return Uri::from_parts(parts).map_err(|_| Malformed("a bad CONNECT"));
    }
    let scheme = fields.scheme.take().ok_or(Malformed("no :scheme"))?;
    let path = fields.path.take().ok_or(Malformed("no :path"))?;
    let scheme = match &scheme[..] {
        b"http" => Scheme::HTTP,
        b"https" => Scheme::HTTPS,
        other => Scheme::try_from(other).map_err(|_| Malformed("a bad :scheme"))?,
    };
    if !matches!(path.first(), Some(b'/' | b'?')) && path != "*" {
        return Err(Malformed("a bad :path"));
    }
    let path = match target::encoded(&path) {
        Cow::Borrowed(_) => PathAndQuery::from_maybe_shared(path),
        Cow::Owned(encoded) => PathAndQuery::from_maybe_shared(encoded),
    };
    let path = path.map_err(|_| Malformed("a bad :path"))?;
    parts.path_and_query = Some(path);
    if parts.authority.is_some() {
        parts.scheme = Some(scheme); // a Uri cannot have a scheme without an authority
    }
    Uri::from_parts(parts).map_err(|_| Malformed("a bad target"))
}

/// The head of a response, and the declared length of its body. `only_head`: the request was HEAD.
///
/// # Errors
/// The response is malformed.
pub(super) fn response(
    fields: Fields,
    ends: bool,
    only_head: bool,
) -> Result<(response::Parts, Option<u64>), Malformed> {
    if let Some(malformed) = fields.malformed {
        return Err(malformed);
    }
    if fields.is_truncated() {
        return Err(Malformed("a head that is too large"));
    }
    let Some(status) = &fields.status else {
        return Err(Malformed("no :status"));
    };
    let status = StatusCode::from_bytes(status).map_err(|_| Malformed("a bad :status"))?;
    let asks = [
        &fields.method,
        &fields.scheme,
        &fields.authority,
        &fields.path,
    ];
    if asks.into_iter().any(Option::is_some) {
        return Err(Malformed("a pseudo-header of requests in a response"));
    }
    if status == StatusCode::SWITCHING_PROTOCOLS || (status.is_informational() && ends) {
        return Err(Malformed("an interim response with END_STREAM, or 101"));
    }
    let has_no_body =
        only_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = if has_no_body {
        Some(0)
    } else {
        fields.length()?
    };
    if ends && length.is_some_and(|length| length > 0) {
        return Err(Malformed("a Content-Length without a body"));
    }
    let (mut head, ()) = http::Response::new(()).into_parts();
    (head.status, head.version, head.headers) = (status, Version::HTTP_2, fields.headers);
    Ok((head, length))
}

/// Trailers.
///
/// # Errors
/// They contain pseudo-headers, or are malformed.
pub(super) fn trailers(fields: Fields) -> Result<HeaderMap, Malformed> {
    match fields.malformed {
        Some(malformed) => Err(malformed),
        None if fields.is_truncated() => Err(Malformed("trailers that are too large")),
        None if fields.has_pseudo() => Err(Malformed("a pseudo-header in trailers")),
        None => Ok(fields.headers),
    }
}

/// Encodes a header block.
pub(crate) struct Block<'a>(&'a mut Vec<u8>);

impl<'a> Block<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// The pseudo-headers of a request.
    pub(crate) fn request(&mut self, method: &Method, scheme: &str, authority: &[u8], path: &str) {
        encoder::pseudo(self.0, Pseudo::Method, method.as_str().as_bytes());
        encoder::pseudo(self.0, Pseudo::Scheme, scheme.as_bytes());
        if !authority.is_empty() {
            encoder::pseudo(self.0, Pseudo::Authority, authority);
        }
        encoder::pseudo(self.0, Pseudo::Path, path.as_bytes());
    }

    pub(super) fn status(&mut self, status: StatusCode) {
        encoder::status(self.0, status);
    }

    /// A header after those.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        encoder::field(self.0, name, value, false);
    }

    pub(super) fn fields(&mut self, fields: &HeaderMap) {
        for (name, value) in fields {
            encoder::field(self.0, name, value.as_bytes(), value.is_sensitive());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of a request or response, and two headers.
    fn fields(most: usize, pseudo: &[(Pseudo, &'static str)]) -> Fields {
        let mut fields = Fields::new(most);
        for (pseudo, value) in pseudo {
            fields.take(
                Field::Pseudo(*pseudo, Bytes::from_static(value.as_bytes())),
                40,
            );
        }
        for name in ["x-a", "x-b"] {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static("1"));
            fields.take(Field::Regular(name, value), 36);
        }
        fields
    }

    const REQUEST: [(Pseudo, &str); 4] = [
        (Pseudo::Method, "GET"),
        (Pseudo::Scheme, "http"),
        (Pseudo::Authority, "a"),
        (Pseudo::Path, "/"),
    ];

    #[test]
    fn a_head_of_which_not_all_was_kept_never_looks_whole() {
        for (most, is_whole) in [(40 * 4 + 36 * 2, true), (40 * 4 + 36, false)] {
            let (head, _) = request(fields(most, &REQUEST), true).unwrap();
            assert_eq!(head.extensions.get::<Truncated>().is_none(), is_whole);
            assert_eq!(head.headers.contains_key("x-b"), is_whole);
        }
        let status = [(Pseudo::Status, "200")];
        for (most, is_whole) in [(40 + 36 * 2, true), (40 + 36, false)] {
            assert_eq!(
                response(fields(most, &status), true, false).is_ok(),
                is_whole
            );
        }
        for (most, is_whole) in [(36 * 2, true), (36, false)] {
            assert_eq!(trailers(fields(most, &[])).is_ok(), is_whole);
        }
    }

    #[test]
    fn a_response_without_a_body_may_name_the_length_of_another() {
        for (status, only_head, left) in [
            ("200", true, 0),
            ("304", false, 0),
            ("204", false, 0),
            ("200", false, 5),
        ] {
            let mut fields = fields(1000, &[(Pseudo::Status, status)]);
            fields.take(
                Field::Regular(header::CONTENT_LENGTH, HeaderValue::from_static("5")),
                50,
            );
            let (_, length) = response(fields, false, only_head).unwrap();
            assert_eq!(length, Some(left), "{status} {only_head}");
        }
    }
}
