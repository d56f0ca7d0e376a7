//! The bytes of bodies on both sides: one fixed pattern, so that a body of N bytes can be sent with
//! constant memory and its checksum is known before the first byte is sent.
//!
//! The pattern repeats after a prime number of bytes. So a relay that loses, repeats or swaps one
//! of its buffers (whose sizes are powers of two) always changes the checksum.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use crc32fast::Hasher;
use http_body::{Body, Frame, SizeHint};

/// Header with the CRC-32 of the body, as eight hexadecimal digits.
pub const CHECKSUM_HEADER: &str = "x-body-crc32";

/// Trailer with the same meaning, for bodies whose checksum comes after them.
pub const CHECKSUM_TRAILER: &str = "x-checksum";

/// Length of the repeating pattern: the first prime above 64 KiB.
const PATTERN_LENGTH: usize = 65_537;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        // xorshift64 (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(step).take(PATTERN_LENGTH).collect()
});

/// CRC-32 of the first `length` bytes of the pattern, computed without reading them all.
#[must_use]
pub fn checksum(length: u64) -> u32 {
    thread_local! {
        /// The last result: a load usually requests the same length repeatedly.
        static LAST: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    }
    match LAST.get() {
        (known, crc) if known == length => crc,
        _ => {
            let crc = combined_checksum(length);
            LAST.set((length, crc));
            crc
        }
    }
}

fn combined_checksum(length: u64) -> u32 {
    let period = PATTERN_LENGTH as u64;
    let (mut repeats, rest) = (length / period, length % period);
    let mut whole = Hasher::new();
    let mut doubled = Hasher::new();
    doubled.update(&PATTERN);
    while repeats > 0 {
        if repeats & 1 == 1 {
            whole.combine(&doubled);
        }
        let same = doubled.clone();
        doubled.combine(&same);
        repeats >>= 1;
    }
    whole.update(&PATTERN[..rest as usize]);
    whole.finalize()
}

/// A checksum in the form of headers and trailers.
#[must_use]
pub fn hex(checksum: u32) -> String {
    format!("{checksum:08x}")
}

/// Parses the output of [`hex`]; `None` for anything else.
#[must_use]
pub fn parse_hex(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// A gRPC message of the first `length` bytes of the pattern, uncompressed, with its prefix of five bytes.
#[must_use]
pub fn message(length: u32) -> Bytes {
    let mut message = Vec::with_capacity(5 + length as usize);
    message.push(0);
    message.extend_from_slice(&length.to_be_bytes());
    let mut content = Content::new(length.into());
    while let Some(frame) = content.next_frame() {
        message.extend_from_slice(&frame);
    }
    message.into()
}

/// The first N bytes of the pattern as a body of known length.
#[derive(Debug, Clone)]
pub struct Content {
    /// Sent before the pattern.
    lead: Bytes,
    sent: u64,
    length: u64,
    frame: u64,
}

impl Content {
    /// A body of `length` bytes in frames as large as the pattern allows.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self::in_frames(length, PATTERN_LENGTH as u64)
    }

    /// A body of `length` bytes in frames of at most `frame` bytes.
    #[must_use]
    pub fn in_frames(length: u64, frame: u64) -> Self {
        Self {
            lead: Bytes::new(),
            sent: 0,
            length,
            frame: frame.max(1),
        }
    }

    /// A body of these bytes and nothing else, in one frame.
    #[must_use]
    pub fn of(lead: Bytes) -> Self {
        Self {
            lead,
            ..Self::new(0)
        }
    }

    /// The next frame, `None` at the end.
    pub fn next_frame(&mut self) -> Option<Bytes> {
        if !self.lead.is_empty() {
            return Some(std::mem::take(&mut self.lead));
        }
        let left = self.length - self.sent;
        if left == 0 {
            return None;
        }
        let offset = self.sent % PATTERN_LENGTH as u64;
        let size = left.min(self.frame).min(PATTERN_LENGTH as u64 - offset);
        self.sent += size;
        Some(PATTERN.slice(offset as usize..(offset + size) as usize))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_frame().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.lead.is_empty() && self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.lead.len() as u64 + self.length - self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(length: u64, frame: u64) -> (u64, u32) {
        let mut content = Content::in_frames(length, frame);
        let (mut total, mut crc) = (0, Hasher::new());
        while let Some(bytes) = content.next_frame() {
            total += bytes.len() as u64;
            crc.update(&bytes);
        }
        (total, crc.finalize())
    }

    #[test]
    fn the_announced_checksum_is_that_of_the_bytes_whatever_the_frames() {
        for length in [0, 1, 13, 65_536, 65_537, 65_538, 1_000_000] {
            for frame in [1_000, 8_192, 65_537, u64::MAX] {
                assert_eq!(
                    walked(length, frame),
                    (length, checksum(length)),
                    "{length} in frames of {frame}"
                );
            }
        }
    }

    #[test]
    fn a_checksum_reads_back_as_it_was_written() {
        assert_eq!(parse_hex(hex(0xbeef).as_bytes()), Some(0xbeef));
        assert_eq!(parse_hex(b"not hex"), None);
    }
}
