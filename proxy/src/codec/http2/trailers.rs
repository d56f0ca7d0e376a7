//! Pseudo-header fields in trailers (RFC 9113 section 8.1): such a message is malformed, and `h2` 0.4 drops them in silence.
//!
//! The header block is read here only so far as to count its fields (RFC 7541 section 6), which needs no table. Where `h2`
//! hands on fewer, it has dropped some.

use super::frames::Frame;

/// Trailers over this are refused for their size anyway.
const MOST: usize = 16 * 1024;

/// The header block of trailers, while it arrives.
#[derive(Debug, Default)]
pub(crate) struct TrailerBlock {
    /// None while no trailers are followed.
    stream: Option<u32>,
    block: Vec<u8>,
    /// Bytes in front of the fields, and behind them.
    front: usize,
    padded: bool,
    ends: bool,
}

impl TrailerBlock {
    /// HEADERS of a stream that has begun already.
    pub(crate) fn begin(&mut self, frame: &Frame<'_>) {
        self.block.clear();
        self.padded = frame.flags & Frame::PADDED != 0;
        let priority = if frame.flags & Frame::PRIORITY != 0 { 5 } else { 0 };
        self.front = usize::from(self.padded) + priority;
        self.stream = Some(frame.stream);
        self.ends = frame.flags & Frame::END_HEADERS != 0;
    }

    /// CONTINUATION; whether it belongs to trailers that are followed.
    pub(crate) fn goes_on(&mut self, frame: &Frame<'_>) -> bool {
        self.ends = frame.flags & Frame::END_HEADERS != 0;
        self.stream == Some(frame.stream)
    }

    /// A part of a frame's payload, and whether it is the last of the frame; the stream and how many fields its trailers
    /// have, when they have ended.
    pub(crate) fn take(&mut self, bytes: &[u8], last: bool) -> Option<(u32, usize)> {
        if self.block.len() + bytes.len() <= MOST {
            self.block.extend_from_slice(bytes);
        }
        if last && self.front > 0 {
            self.strip();
        }
        if !last || !self.ends {
            return None;
        }
        let block = std::mem::take(&mut self.block); // trailers are seldom: no connection keeps room for them
        self.stream.take().zip(fields(&block))
    }

    /// Removes what HEADERS has around its fields.
    fn strip(&mut self) {
        let padding = if self.padded { self.block.first().copied().unwrap_or(0) } else { 0 };
        self.block.truncate(self.block.len().saturating_sub(usize::from(padding)));
        let front = self.front.min(self.block.len());
        self.block.drain(..front);
        self.front = 0;
    }
}

/// How many fields a header block has; `None` when it cannot be read.
fn fields(mut block: &[u8]) -> Option<usize> {
    let mut fields = 0;
    while let Some(first) = block.first() {
        match first {
            0x80.. => drop(integer(&mut block, 7)?),
            0x20..0x40 => {
                integer(&mut block, 5)?; // a change of the table's size
                continue;
            }
            _ => {
                let bits = if *first >= 0x40 { 6 } else { 4 };
                if integer(&mut block, bits)? == 0 {
                    string(&mut block)?;
                }
                string(&mut block)?;
            }
        }
        fields += 1;
    }
    Some(fields)
}

/// An integer behind a prefix of so many bits (RFC 7541 section 5.1).
fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut rest) = block.split_first()?;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            value = value.checked_add(usize::from(byte & 0x7f).checked_shl(shift)?)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return None; // longer than any block
            }
        }
    }
    *block = rest;
    Some(value)
}

/// Passes over a string (RFC 7541 section 5.2).
fn string(block: &mut &[u8]) -> Option<()> {
    let length = integer(block, 7)?;
    *block = block.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A literal without indexing, its name and value as they are.
    fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
        [&[0, name.len() as u8], name, &[value.len() as u8], value].concat()
    }

    #[test]
    fn fields_are_counted_in_every_form() {
        let plain = literal(b"x-sum", b"1:2");
        for (block, count) in [
            (vec![], Some(0)),
            (plain.clone(), Some(1)),
            ([plain.clone(), vec![0x90, 0xbe]].concat(), Some(3)), // static 16, dynamic 62
            ([&plain[..], &[0x44, 1, b'/'], &[0x14, 1, b'/']].concat(), Some(3)),
            (vec![0x00, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 1, b'x'], Some(1)), // by Huffman
            (vec![0x3f, 0x01, 0x84], Some(1)), // behind a change of the table's size
            ([vec![0x0f, 0x80, 0x01, 0x7f, 0x80, 0x01], vec![b'x'; 255]].concat(), Some(1)), // long integers
            (vec![0x7f], None),
            (vec![0x00, 5, b'x'], None),
            (vec![0xff, 0xff, 0xff, 0xff, 0xff], None),
        ] {
            assert_eq!(fields(&block), count, "{block:x?}");
        }
    }

    #[test]
    fn padding_priority_and_continuation_are_passed_over() {
        let block = literal(b":path", b"/");
        let head = |kind, flags, length| Frame { kind, flags, stream: 5, length, payload: &[] };
        for cut in 0..block.len() {
            let mut trailers = TrailerBlock::default();
            let first = [&[3, 0, 0, 0, 0, 7], &block[..cut], &[0; 3]].concat();
            trailers.begin(&head(Frame::HEADERS, Frame::PADDED | Frame::PRIORITY, first.len()));
            for byte in &first[..first.len() - 1] {
                assert_eq!(trailers.take(&[*byte], false), None);
            }
            assert_eq!(trailers.take(&first[first.len() - 1..], true), None);
            assert!(trailers.goes_on(&head(Frame::CONTINUATION, Frame::END_HEADERS, block.len() - cut)));
            assert_eq!(trailers.take(&block[cut..], true), Some((5, 1)), "cut at {cut}");
        }
    }
}
