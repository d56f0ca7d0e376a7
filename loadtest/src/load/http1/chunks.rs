//! Chunked bodies (RFC 9112 §7.1), with their trailers.

use super::super::failure::{Failure, FailureKind};
use crate::content::{self, CHECKSUM_TRAILER};

/// Maximum bytes of trailers, and of a chunk-size line.
const LONGEST: usize = 16 * 1024;

/// Maximum number of trailer fields.
const MOST_FIELDS: usize = 32;

/// A chunked body that is being read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// The current line, or the trailers.
    line: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    /// The line end after a chunk.
    Behind,
    Trailers,
    Over,
}

impl Chunks {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Passes the bytes of the body on and returns how many of `data` were used: all except those
    /// after the end.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        mut hand_on: impl FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        while taken < data.len() && !self.is_over() {
            if let State::Data(left) = &mut self.state {
                let count = (data.len() - taken).min(usize::try_from(*left).unwrap_or(usize::MAX));
                hand_on(&data[taken..taken + count]);
                taken += count;
                *left -= count as u64;
                if *left == 0 {
                    self.state = State::Behind;
                }
            } else {
                self.byte(data[taken])?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    fn byte(&mut self, byte: u8) -> Result<(), Failure> {
        self.line.push(byte);
        if self.line.len() > LONGEST {
            return Err(broken("a line of a chunked body is too long"));
        }
        match self.state {
            State::Size if byte == b'\n' => {
                self.state =
                    match size(&self.line).ok_or_else(|| broken("an invalid chunk size"))? {
                        0 => State::Trailers,
                        size => State::Data(size),
                    };
                self.line.clear();
            }
            State::Behind if self.line == b"\r\n" => {
                self.state = State::Size;
                self.line.clear();
            }
            State::Behind if self.line != b"\r" => {
                return Err(broken("a chunk longer than its size"));
            }
            State::Trailers if self.line == b"\r\n" || self.line.ends_with(b"\r\n\r\n") => {
                self.state = State::Over;
            }
            _ => {}
        }
        Ok(())
    }

    /// The checksum among the trailers.
    pub(super) fn announced(&self) -> Result<Option<u32>, Failure> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let fields = match httparse::parse_headers(&self.line, &mut fields) {
            Ok(httparse::Status::Complete((_, fields))) => fields,
            _ => return Err(broken("invalid trailers")),
        };
        let checksum = fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(CHECKSUM_TRAILER));
        Ok(checksum.and_then(|field| content::parse_hex(field.value)))
    }
}

/// The size in a line, which may be followed by extensions.
fn size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii_end();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    plain.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

fn broken(detail: &str) -> Failure {
    Failure::new(FailureKind::Protocol, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result when the bytes arrive in pieces of this size, and how many of them were used.
    fn read(text: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool, Option<u32>), FailureKind> {
        let (mut chunks, mut body, mut used) = (Chunks::default(), Vec::new(), 0);
        for part in text.chunks(piece) {
            let taken = chunks.take(part, |data| body.extend_from_slice(data));
            used += taken.map_err(|failure| failure.kind)?;
        }
        let over = chunks.is_over();
        let announced = if over {
            chunks.announced().map_err(|failure| failure.kind)?
        } else {
            None
        };
        Ok((body, used, over, announced))
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives() {
        let text =
            b"5\r\nhello\r\n1;a=b\r\n,\r\nA \r\n0123456789\r\n0\r\nx-checksum: 0000beef\r\ny: z\r\n\r\n";
        for piece in [1, 2, 3, 7, 100] {
            let all = (b"hello,0123456789".to_vec(), text.len(), true, Some(0xbeef));
            assert_eq!(read(text, piece), Ok(all), "{piece}");
        }
        assert_eq!(
            read(b"1\r\nx\r\n0\r\n\r\nrest", 100),
            Ok((b"x".to_vec(), 11, true, None))
        );
        assert_eq!(
            read(b"1\r\nx\r\n0\r\n", 100),
            Ok((b"x".to_vec(), 9, false, None))
        );
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "5\nhello\r\n",
            "1\r\nxy\r\n",
            "11111111111111111\r\n",
            "0\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(
                read(text.as_bytes(), 100).err(),
                Some(FailureKind::Protocol),
                "{text:?}"
            );
        }
    }
}
