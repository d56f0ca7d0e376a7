//! From the body of a response to the text of a page: compression, format, characters.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderName, header};

use super::{Failure, Fetched, MOST_BYTES};
use crate::exposition::Syntax;

pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Fetched, Failure> {
    let syntax = syntax(&lower(headers, header::CONTENT_TYPE))?;
    let bytes = match &*lower(headers, header::CONTENT_ENCODING) {
        "" | "identity" => body.to_vec(),
        "gzip" | "x-gzip" => gunzip(&body)?,
        _ => return Err(Failure::ContentType),
    };
    let text = String::from_utf8(bytes).map_err(|_| Failure::Invalid)?;
    Ok(Fetched { text, syntax })
}

fn lower(headers: &HeaderMap, name: HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

fn syntax(content_type: &str) -> Result<Syntax, Failure> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/openmetrics-text" => Ok(Syntax::OpenMetrics),
        "application/vnd.google.protobuf" => Err(Failure::ContentType),
        _ => Ok(Syntax::Text),
    }
}

/// A few KiB may become gigabytes: what is read has the limit of a page.
fn gunzip(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(MOST_BYTES as u64 + 1);
    decoder
        .read_to_end(&mut text)
        .map_err(|_| Failure::Invalid)?;
    match text.len() > MOST_BYTES {
        true => Err(Failure::TooLarge),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    fn read_as(
        kind: Option<&'static str>,
        encoding: Option<&'static str>,
        body: &[u8],
    ) -> Result<Fetched, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_ENCODING, encoding),
        ] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        read(&headers, Bytes::copy_from_slice(body))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn mon_06_a_blank_missing_or_wrong_type_is_text() {
        for (kind, syntax) in [
            (None, Ok(Syntax::Text)),
            (Some(""), Ok(Syntax::Text)),
            (Some("text/html; charset=utf-8"), Ok(Syntax::Text)),
            (Some("text/plain; version=0.0.4"), Ok(Syntax::Text)),
            (
                Some("Application/OpenMetrics-Text; version=1.0.0"),
                Ok(Syntax::OpenMetrics),
            ),
            (
                Some("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"),
                Err(Failure::ContentType),
            ),
        ] {
            let read = read_as(kind, None, b"a 1\n");
            assert_eq!(read.map(|read| read.syntax), syntax, "{kind:?}");
        }
    }

    #[test]
    fn mon_05_gzip_is_decompressed_and_other_encodings_are_refused() {
        let page = b"a 1\n";
        assert_eq!(
            read_as(None, Some("gzip"), &gzip(page)).unwrap().text,
            "a 1\n"
        );
        for (encoding, body, failure) in [
            ("gzip", &page[..], Failure::Invalid),
            ("gzip", &gzip(page)[..10], Failure::Invalid),
            ("br", &page[..], Failure::ContentType),
            (
                "gzip",
                &gzip(&vec![b'x'; MOST_BYTES + 1]),
                Failure::TooLarge,
            ),
        ] {
            assert_eq!(
                read_as(None, Some(encoding), body),
                Err(failure),
                "{encoding}"
            );
        }
        assert_eq!(
            read_as(None, None, b"a{x=\"\xff\"} 1\n"),
            Err(Failure::Invalid),
            "not UTF-8"
        );
    }
}
