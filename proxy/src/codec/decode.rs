//! Reads bodies: by length, by chunks (RFC 9112 section 7.1), or up to the close of the connection.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::fields;

/// Most bytes of chunk extensions in one message.
const EXTENSION_BYTES: usize = 16 * 1024;

/// The longest chunk-size line of an endpoint, including extensions.
pub(crate) const ENDPOINT_LINE: usize = 256;

/// The same for a client; [`EXTENSION_BYTES`] limits its extensions in total.
pub(crate) const CLIENT_LINE: usize = EXTENSION_BYTES + 32;

/// Most bytes of trailers in one message, and how many trailers.
const TRAILER_BYTES: usize = 8 * 1024;
const TRAILER_FIELDS: usize = 100;

/// The parse position in a body.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// The longest chunk-size line.
    line: usize,
    /// Bytes of extensions so far.
    extensions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// The result of one decoding step.
pub(crate) enum Step {
    /// A piece of the body.
    Frame(Frame<Bytes>),
    /// The buffer has no complete piece yet.
    More,
    /// The end of the body.
    Done,
}

impl Decoder {
    fn new(state: State) -> Self {
        Self {
            state,
            line: 0,
            extensions: 0,
        }
    }

    pub(crate) fn empty() -> Self {
        Self::new(State::Done)
    }

    /// A body of this length.
    pub(crate) fn length(length: u64) -> Self {
        Self::new(if length == 0 {
            State::Done
        } else {
            State::Length(length)
        })
    }

    /// A chunked body whose size lines have at most `line` bytes.
    pub(crate) fn chunked(line: usize) -> Self {
        Self {
            line,
            ..Self::new(State::ChunkSize)
        }
    }

    /// A body that the close of the connection ends.
    pub(crate) fn until_close() -> Self {
        Self::new(State::UntilClose)
    }

    /// Whether the last byte was read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes still to come, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Whether only the close of the connection ends the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The whole body, when its length is known and all of it is in `buffer`.
    pub(crate) fn take_whole(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        let State::Length(length) = self.state else {
            return None;
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= buffer.len())?;
        self.state = State::Done;
        Some(buffer.split_to(length).freeze())
    }

    /// Takes the next piece from the front of `buffer`.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Step, &'static str> {
        loop {
            let moved = match self.state {
                State::Done => return Ok(Step::Done),
                State::Length(left) | State::ChunkData(left) => return Ok(self.data(left, buffer)),
                State::UntilClose if buffer.is_empty() => return Ok(Step::More),
                State::UntilClose => return Ok(Step::Frame(Frame::data(buffer.split().freeze()))),
                State::ChunkSize => self.chunk_size(buffer)?,
                State::ChunkEnd => self.chunk_end(buffer)?,
                State::Trailers => match self.trailers(buffer)? {
                    Some(trailers) if trailers.is_empty() => true,
                    Some(trailers) => return Ok(Step::Frame(Frame::trailers(trailers))),
                    None => false,
                },
            };
            if !moved {
                return Ok(Step::More);
            }
        }
    }

    fn data(&mut self, left: u64, buffer: &mut BytesMut) -> Step {
        if buffer.is_empty() {
            return Step::More;
        }
        let take = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let left = left - take as u64;
        self.state = match (self.state, left) {
            (State::ChunkData(_), 0) => State::ChunkEnd,
            (State::ChunkData(_), _) => State::ChunkData(left),
            (_, 0) => State::Done,
            _ => State::Length(left),
        };
        Step::Frame(Frame::data(buffer.split_to(take).freeze()))
    }

    fn chunk_size(&mut self, buffer: &mut BytesMut) -> Result<bool, &'static str> {
        let within = &buffer[..buffer.len().min(self.line)];
        let Some(end) = memchr::memchr(b'\n', within) else {
            return if buffer.len() < self.line {
                Ok(false)
            } else {
                Err("a chunk-size line that does not end")
            };
        };
        let line = buffer.split_to(end + 1);
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or("a chunk-size line without CR")?;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, extension) = line.split_at(digits);
        let size = parse_hex(size).ok_or("a bad chunk size")?;
        if !extension.is_empty() {
            self.extensions += extension.len();
            let plain = extension
                .iter()
                .all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            let begins = extension
                .trim_ascii_start()
                .first()
                .is_none_or(|byte| *byte == b';');
            if !plain || !begins || self.extensions > EXTENSION_BYTES {
                return Err("a bad chunk extension");
            }
        }
        self.state = if size == 0 {
            State::Trailers
        } else {
            State::ChunkData(size)
        };
        Ok(true)
    }

    fn chunk_end(&mut self, buffer: &mut BytesMut) -> Result<bool, &'static str> {
        match buffer[..] {
            [] | [b'\r'] => return Ok(false),
            [b'\r', b'\n', ..] => buffer.advance(2),
            _ => return Err("a chunk that is longer than its size"),
        }
        self.state = State::ChunkSize;
        Ok(true)
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
        let trailers = fields::take_section(buffer, TRAILER_BYTES, TRAILER_FIELDS)?;
        if trailers.is_some() {
            self.state = State::Done;
        }
        Ok(trailers)
    }
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 {
        return None; // 15 digits are an exabyte, and cannot overflow
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of `step` bytes: data, trailers, and the rest of the buffer; or the error.
    fn decode(
        mut decoder: Decoder,
        wire: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Vec<String>, usize), &'static str> {
        let (mut data, mut trailers) = (Vec::new(), Vec::new());
        let mut buffer = BytesMut::new();
        for piece in wire.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Step::Frame(frame) = decoder.next(&mut buffer)? {
                match frame.into_data() {
                    Ok(bytes) => data.extend_from_slice(&bytes),
                    Err(frame) => trailers.extend(
                        frame
                            .into_trailers()
                            .unwrap()
                            .keys()
                            .map(ToString::to_string),
                    ),
                }
            }
        }
        if decoder.is_done() {
            Ok((data, trailers, buffer.len()))
        } else {
            Err("not complete")
        }
    }

    #[test]
    fn a_chunked_body_reads_the_same_however_it_arrives() {
        let wire =
            b"5\r\nhello\r\n1;name=\"value\"\r\n \r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nnext";
        for step in 1..wire.len() {
            let (data, trailers, left) = decode(
                Decoder::chunked(ENDPOINT_LINE),
                &wire[..wire.len() - 4],
                step,
            )
            .unwrap();
            assert_eq!(
                (&data[..], &trailers[..], left),
                (&b"hello 0123456789"[..], &["x-sum".to_owned()][..], 0)
            );
        }
        assert_eq!(
            decode(Decoder::chunked(ENDPOINT_LINE), wire, wire.len())
                .unwrap()
                .2,
            4,
            "the rest stays in the buffer"
        );
    }

    #[test]
    fn a_known_length_takes_exactly_its_bytes() {
        assert_eq!(
            decode(Decoder::length(3), b"abcdef", 6).unwrap(),
            (b"abc".to_vec(), vec![], 3)
        );
        assert_eq!(decode(Decoder::length(0), b"", 1).unwrap().0, b"");
        assert_eq!(decode(Decoder::length(3), b"ab", 1), Err("not complete"));
    }

    #[test]
    fn chunks_that_can_be_read_in_two_ways_are_errors() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(ENDPOINT_LINE));
        let trailer = format!("0\r\nx: {}\r\n\r\n", "y".repeat(TRAILER_BYTES));
        let many = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb\r\n".repeat(400);
        for wire in [
            "\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloX\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5 hello\r\nhello\r\n0\r\n\r\n",
            "5;a\0b\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nbad name: x\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\n\n",
            "0\r\nx: 1\n\r\n",
            &long,
            &trailer,
            &many,
        ] {
            assert!(
                decode(Decoder::chunked(ENDPOINT_LINE), wire.as_bytes(), 7).is_err(),
                "{wire:.60}"
            );
        }
    }
}
