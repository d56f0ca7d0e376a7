//! The fast path: requests of load tests are handled without a library and without allocation,
//! because the origin shares a CPU with the generator and must use little of it.
//!
//! It serves a connection from its first byte as long as it knows every request: HTTP/1.1, `/` or
//! `/bytes/N` by GET, `/sink` by POST or PUT with a content-length. With the first other request
//! the rest of the connection goes to the slow path. The responses of both paths are identical.

use std::io::{self, IoSlice, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Shared;
use super::routes::HELLO;
use crate::content::{self, CHECKSUM_HEADER, Content};
use crate::stream::Stream;

/// Size of the read buffer of a connection.
const BUFFER: usize = 8 * 1024;

/// Maximum header fields of a request on the fast path.
const MOST_FIELDS: usize = 64;

/// Maximum body on the fast path; larger ones go to the slow path.
const LARGEST_BODY: usize = 4 * 1024;

/// A connection on the fast path.
struct Quick<'a> {
    stream: Stream,
    shared: &'a Shared,
    buffer: Box<[u8]>,
    filled: usize,
    answer: Vec<u8>,
    date: Date,
}

/// A request of the fast path.
#[derive(Debug, PartialEq, Eq)]
enum Known<'a> {
    Hello,
    Bytes(u64),
    Sink {
        body: &'a [u8],
        announced: Option<u32>,
        objects: bool,
    },
}

/// The state of the bytes at the start of the buffer.
enum Front<'a> {
    Request { length: usize, known: Known<'a> },
    Incomplete,
    Other,
}

/// Serves until the connection ends (`None`) or needs the slow path: the connection and the bytes
/// that were read of it.
pub(super) async fn serve(stream: Stream, shared: &Shared) -> io::Result<Option<(Stream, Bytes)>> {
    let buffer = vec![0; BUFFER].into_boxed_slice();
    let (answer, date) = (Vec::new(), Date::default());
    let mut quick = Quick {
        stream,
        shared,
        buffer,
        filled: 0,
        answer,
        date,
    };
    loop {
        let space = &mut quick.buffer[quick.filled..];
        let count = if space.is_empty() {
            0
        } else {
            quick.stream.read(space).await?
        };
        if count == 0 && quick.filled == 0 {
            return Ok(None);
        }
        quick.filled += count;
        let known = quick.answer_all().await?;
        // The rest at the end of a connection is not handled here either.
        if !known || count == 0 {
            let read = Bytes::copy_from_slice(&quick.buffer[..quick.filled]);
            return Ok(Some((quick.stream, read)));
        }
    }
}

impl Quick<'_> {
    /// Handles every complete request in the buffer; false when one needs the slow path.
    async fn answer_all(&mut self) -> io::Result<bool> {
        let mut taken = 0;
        let ours = loop {
            if taken == self.filled {
                break true;
            }
            let (length, mut content) = match front(&self.buffer[taken..self.filled]) {
                Front::Request { length, known } => {
                    self.shared.counters.request(known.segment());
                    let name = self.shared.name.as_ref().map(http::HeaderValue::as_bytes);
                    self.answer.clear();
                    (
                        length,
                        known.render(&mut self.answer, name, self.date.now()),
                    )
                }
                Front::Incomplete => break true,
                Front::Other => break false,
            };
            self.shared.wait_while_stalled().await;
            self.send(&mut content).await?;
            taken += length;
        };
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(ours)
    }

    async fn send(&mut self, content: &mut Content) -> io::Result<()> {
        let mut head = &self.answer[..];
        let mut frame = content.next_frame().unwrap_or_default();
        while !head.is_empty() || !frame.is_empty() {
            let count = self
                .stream
                .write_vectored(&[IoSlice::new(head), IoSlice::new(&frame)])
                .await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = count.min(head.len());
            head = &head[of_head..];
            frame.advance(count - of_head);
            if frame.is_empty() {
                frame = content.next_frame().unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// Parses the start of the buffer.
fn front(data: &[u8]) -> Front<'_> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let head = match request.parse(data) {
        Ok(httparse::Status::Complete(head)) => head,
        // The HTTP/2 preface fails here as well, because of its version.
        Ok(httparse::Status::Partial) => return Front::Incomplete,
        Err(_) => return Front::Other,
    };
    let (mut length, mut announced, mut objects, mut has_host) = (None, None, false, false);
    for field in &*request.headers {
        match Field::of(field.name) {
            Field::Plain => {}
            Field::Host if !has_host => has_host = true,
            Field::Length if length.is_none() => match decimal(field.value) {
                Some(number) => length = Some(number),
                None => return Front::Other,
            },
            Field::Checksum if !objects => {
                announced = content::parse_hex(field.value);
                objects = true;
            }
            _ => return Front::Other,
        }
    }
    let (Some(method), Some(path), Some(1)) = (request.method, request.path, request.version)
    else {
        return Front::Other;
    };
    let body = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    let Some(known) = known(method, path, body > 0).filter(|_| body <= LARGEST_BODY && has_host)
    else {
        return Front::Other;
    };
    // A request is counted when its head is complete; the wait for its body is on the slow path.
    let Some(body) = data[head..].get(..body) else {
        return Front::Other;
    };
    let known = match known {
        Known::Sink { .. } if length.is_none() => return Front::Other,
        Known::Sink { .. } => Known::Sink {
            body,
            announced,
            objects,
        },
        known => known,
    };
    Front::Request {
        length: head + body.len(),
        known,
    }
}

/// The meaning of a header field for the fast path.
enum Field {
    /// Nothing.
    Plain,
    Host,
    Length,
    Checksum,
    /// It may need a feature of the slow path.
    Special,
}

impl Field {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => Self::Host,
            14 if is("content-length") => Self::Length,
            12 if is(CHECKSUM_HEADER) => Self::Checksum,
            17 if is("transfer-encoding") => Self::Special,
            10 if is("connection") => Self::Special,
            7 if is("upgrade") => Self::Special,
            6 if is("expect") => Self::Special,
            _ => Self::Plain,
        }
    }
}

fn known(method: &str, path: &str, has_body: bool) -> Option<Known<'static>> {
    match (method, path) {
        ("GET", "/") if !has_body => Some(Known::Hello),
        ("GET", _) if !has_body => {
            decimal(path.strip_prefix("/bytes/")?.as_bytes()).map(Known::Bytes)
        }
        ("POST" | "PUT", "/sink") => Some(Known::Sink {
            body: b"",
            announced: None,
            objects: false,
        }),
        _ => None,
    }
}

/// Digits only: other forms go to the slow path.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() < 20 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| {
        text.iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    })
}

impl Known<'_> {
    fn segment(&self) -> &'static str {
        match self {
            Self::Hello => "",
            Self::Bytes(_) => "bytes",
            Self::Sink { .. } => "sink",
        }
    }

    /// Writes the response except a body that consists of the pattern, which it returns.
    fn render(self, out: &mut Vec<u8>, name: Option<&[u8]>, date: &str) -> Content {
        // Writing to a vector cannot fail.
        match self {
            Self::Hello => {
                out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
                tail(out, name, HELLO.len() as u64, date);
                out.extend_from_slice(HELLO.as_bytes());
                Content::new(0)
            }
            Self::Bytes(length) => {
                let checksum = content::checksum(length);
                let _ = write!(
                    out,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n{CHECKSUM_HEADER}: {checksum:08x}\r\n"
                );
                tail(out, name, length, date);
                Content::new(length)
            }
            Self::Sink {
                body,
                announced,
                objects,
            } => {
                let crc = crc32fast::hash(body);
                let right = !objects || announced == Some(crc);
                let status = if right { "200 OK" } else { "400 Bad Request" };
                let _ = write!(
                    out,
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
                );
                // The same members as on the slow path, whose numbers have no fixed width.
                let digits = body.len().checked_ilog10().unwrap_or(0) + 1;
                tail(out, name, u64::from(digits) + 29, date);
                let _ = write!(out, r#"{{"bytes":{},"crc32":"{crc:08x}"}}"#, body.len());
                Content::new(0)
            }
        }
    }
}

/// The fields of every response, and the empty line.
fn tail(out: &mut Vec<u8>, name: Option<&[u8]>, length: u64, date: &str) {
    if let Some(name) = name {
        for part in [b"x-origin: ", name, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    let _ = write!(out, "content-length: {length}\r\ndate: {date}\r\n\r\n");
}

/// The time for the `date` header, updated once per second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = httpdate::fmt_http_date(now);
        }
        &self.text
    }
}
