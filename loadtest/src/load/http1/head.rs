//! Parses the head of a response (RFC 9112 §4 and §6), with a cache of the last one: under load
//! most are identical.

use http::StatusCode;

use super::super::failure::{Failure, FailureKind};
use crate::content::{self, CHECKSUM_HEADER};

/// Maximum bytes of a head.
const LONGEST: usize = 64 * 1024;

/// Maximum number of header fields.
const MOST_FIELDS: usize = 128;

/// The relevant parts of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Bytes including the empty line.
    pub(super) length: usize,
    pub(super) status: StatusCode,
    pub(super) framing: Framing,
    pub(super) keeps_connection: bool,
    pub(super) announced: Option<u32>,
}

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilEnd,
}

/// The last head that a thread parsed.
#[derive(Debug, Default)]
pub(in crate::load) struct Memo {
    last: Option<Head>,
    bytes: Vec<u8>,
}

impl Memo {
    /// `None` when the head is not complete.
    pub(super) fn read(&mut self, data: &[u8]) -> Result<Option<Head>, Failure> {
        if let Some(last) = self.last
            && data.starts_with(&self.bytes)
        {
            return Ok(Some(last));
        }
        let head = parse(data)?;
        if let Some(head) = head {
            self.bytes.clear();
            self.bytes.extend_from_slice(&data[..head.length]);
            self.last = Some(head);
        }
        Ok(head)
    }
}

impl Head {
    /// 101 is not interim here: no upgrade was requested, so no further head follows.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

fn parse(data: &[u8]) -> Result<Option<Head>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(data) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if data.len() < LONGEST => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(broken("the head is too long")),
        Err(error) => return Err(broken(error.to_string())),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| broken("an invalid status"))?;
    let mut seen = Seen::default();
    for field in &*response.headers {
        seen.field(field)?;
    }
    let persistent = response.version == Some(1);
    let framing = seen.framing(status)?;
    Ok(Some(Head {
        length,
        status,
        framing,
        keeps_connection: persistent && !seen.close && framing != Framing::UntilEnd,
        announced: seen.announced,
    }))
}

/// The relevant fields.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    close: bool,
    announced: Option<u32>,
}

impl Seen {
    fn field(&mut self, field: &httparse::Header<'_>) -> Result<(), Failure> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let length = number(field.value).ok_or_else(|| broken("an invalid content-length"))?;
            if self
                .length
                .replace(length)
                .is_some_and(|before| before != length)
            {
                return Err(broken("several content-lengths"));
            }
        } else if is("transfer-encoding") {
            self.coded = true;
            self.chunked = last_word(field.value).eq_ignore_ascii_case(b"chunked");
        } else if is("connection") {
            self.close |= words(field.value).any(|word| word.eq_ignore_ascii_case(b"close"));
        } else if is(CHECKSUM_HEADER) {
            self.announced = self.announced.or_else(|| content::parse_hex(field.value));
        }
        Ok(())
    }

    /// RFC 9112 §6.3, without any lenient interpretation.
    fn framing(&self, status: StatusCode) -> Result<Framing, Failure> {
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.length {
            Some(_) if self.coded => Err(broken("both content-length and transfer-encoding")),
            _ if bodiless => Ok(Framing::Length(0)),
            Some(length) => Ok(Framing::Length(length)),
            None if self.chunked => Ok(Framing::Chunked),
            None => Ok(Framing::UntilEnd),
        }
    }
}

fn broken(detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Protocol, detail)
}

/// Digits only: `parse` alone would accept a sign.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

fn words(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn last_word(value: &[u8]) -> &[u8] {
    words(value).next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, FailureKind> {
        parse(text.as_bytes()).map_err(|failure| failure.kind)
    }

    #[test]
    fn the_end_of_a_body_is_told_by_its_head() {
        for (fields, framing, keeps) in [
            ("200 OK\r\ncontent-length: 5", Framing::Length(5), true),
            (
                "200 OK\r\nContent-Length: 5\r\nCONTENT-LENGTH: 5",
                Framing::Length(5),
                true,
            ),
            (
                "200 OK\r\ntransfer-encoding: gzip, Chunked",
                Framing::Chunked,
                true,
            ),
            (
                "200 OK\r\ntransfer-encoding: chunked, gzip",
                Framing::UntilEnd,
                false,
            ),
            ("200 OK", Framing::UntilEnd, false),
            ("204 No Content", Framing::Length(0), true),
            (
                "304 Not Modified\r\ncontent-length: 5",
                Framing::Length(0),
                true,
            ),
            (
                "200 OK\r\ncontent-length: 0\r\nconnection: x, Close",
                Framing::Length(0),
                false,
            ),
        ] {
            let found = head(&format!("HTTP/1.1 {fields}\r\n\r\n"))
                .unwrap()
                .unwrap();
            assert_eq!(
                (found.framing, found.keeps_connection),
                (framing, keeps),
                "{fields}"
            );
        }
        let old = head("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n")
            .unwrap()
            .unwrap();
        assert!(!old.keeps_connection);
    }

    #[test]
    fn what_would_need_a_guess_is_refused() {
        for fields in [
            "200 OK\r\ncontent-length: 5\r\ncontent-length: 6",
            "200 OK\r\ncontent-length: +5",
            "200 OK\r\ncontent-length: 5, 5",
            "200 OK\r\ncontent-length:",
            "200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
            "2x0 OK",
            "200 OK\r\nno colon",
        ] {
            let found = head(&format!("HTTP/1.1 {fields}\r\n\r\n"));
            assert_eq!(found.err(), Some(FailureKind::Protocol), "{fields}");
        }
        assert!(head("HTTP/1.1 200 OK\r\n").unwrap().is_none());
        assert!(head(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_head_is_recognised_by_all_of_its_bytes() {
        let mut memo = Memo::default();
        let mut read = |text: &str| {
            memo.read(text.as_bytes())
                .unwrap()
                .map(|head| (head.status.as_u16(), head.framing))
        };
        let ok = Some((200, Framing::Length(1)));
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"), ok);
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny"), ok);
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n"), None);
        assert_eq!(
            read("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx"),
            Some((200, Framing::Length(2)))
        );
        assert_eq!(
            read("HTTP/1.1 503 OK\r\ncontent-length: 2\r\n\r\nx"),
            Some((503, Framing::Length(2)))
        );
    }
}
