//! Follows the WebSocket frames of one direction by their lengths (RFC 6455 section 5.2), so that
//! the proxy can insert a close frame between two frames. Payloads are not unmasked, validated or
//! stored.

/// Most bytes of a frame header up to its length: two, and up to eight of extended length.
const LENGTH_ENDS: usize = 10;

const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;
const MASK: u64 = 4;

/// 1001, "going away" (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// The parse position in the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// A frame header, while it is incomplete.
    head: [u8; LENGTH_ENDS],
    have: usize,
    /// Remaining bytes of mask and payload.
    left: u64,
    closing: bool,
    lost: bool,
}

impl Frames {
    /// Parses up to the end of a frame, or of `bytes`; returns how many bytes that were.
    pub(super) fn step(&mut self, bytes: &[u8]) -> usize {
        let head = if self.left == 0 {
            self.read_head(bytes)
        } else {
            0
        };
        let rest = (bytes.len() - head) as u64;
        if self.lost {
            return bytes.len();
        }
        let payload = rest.min(self.left);
        self.left -= payload;
        head + payload as usize
    }

    /// Parses all of `bytes`.
    pub(super) fn skip(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Whether the position is between two frames.
    pub(super) fn are_whole(&self) -> bool {
        !self.lost && self.have == 0 && self.left == 0
    }

    /// Whether a close frame has started. Nothing may follow it.
    pub(super) fn are_closing(&self) -> bool {
        self.closing
    }

    /// Whether a close frame has ended.
    pub(super) fn are_closed(&self) -> bool {
        self.closing && self.are_whole()
    }

    fn read_head(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            self.head[self.have] = *byte;
            self.have += 1;
            self.closing |= self.have == 1 && byte & OPCODE == CLOSE;
            if let Some(length) = self.length() {
                (self.have, self.left) = (0, length);
                return index + 1;
            }
        }
        bytes.len()
    }

    /// Length of mask and payload, once the header has it.
    fn length(&mut self) -> Option<u64> {
        let &[_, second, ..] = &self.head[..self.have] else {
            return None;
        };
        let payload = match (second & !MASKED, &self.head[2..self.have]) {
            (126, extended) => u64::from(u16::from_be_bytes(extended.try_into().ok()?)),
            (127, extended) => u64::from_be_bytes(extended.try_into().ok()?),
            (length, _) => u64::from(length),
        };
        // The most significant bit must be 0: after this, frame boundaries are unknown.
        self.lost |= payload > u64::MAX >> 1;
        let mask = if second & MASKED == 0 { 0 } else { MASK };
        Some(payload.saturating_add(mask))
    }
}

/// A close frame for a client: servers do not mask.
pub(super) fn close_frame() -> Vec<u8> {
    [&[0x80 | CLOSE, GOING_AWAY.len() as u8][..], &GOING_AWAY].concat()
}

/// A close frame for a server, masked with this key (RFC 6455 section 5.3).
pub(super) fn masked_close_frame(key: [u8; 4]) -> Vec<u8> {
    let payload = [GOING_AWAY[0] ^ key[0], GOING_AWAY[1] ^ key[1]];
    [
        &[0x80 | CLOSE, MASKED | payload.len() as u8][..],
        &key,
        &payload,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(mask | payload as u8),
            126..=65_535 => {
                frame.push(mask | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        // Neither mask nor payload may be parsed as a header.
        frame.extend(vec![0x88; payload + if masked { 4 } else { 0 }]);
        frame
    }

    /// Frames with every form of header, and the position where each ends.
    fn several() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for masked in [false, true] {
            for (first, payload) in [
                (0x81, 0),
                (0x01, 5),
                (0x89, 0),
                (0x80, 125),
                (0xc2, 126),
                (0x82, 300),
                (0x82, 65_536),
                (0x8a, 1),
            ] {
                bytes.extend(frame(first, masked, payload));
                ends.push(bytes.len());
            }
        }
        (bytes, ends)
    }

    #[test]
    fn a_step_goes_to_the_end_of_a_frame() {
        let (bytes, ends) = several();
        let (mut frames, mut at, mut found) = (Frames::default(), 0, Vec::new());
        while at < bytes.len() {
            at += frames.step(&bytes[at..]);
            assert!(frames.are_whole(), "{at}");
            found.push(at);
        }
        assert_eq!(found, ends);
        assert!(!frames.are_closing());
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let (bytes, ends) = several();
        let near = |end: &usize| end.saturating_sub(16)..(end + 16).min(bytes.len());
        for cut in ends.iter().flat_map(near) {
            let mut frames = Frames::default();
            frames.skip(&bytes[..cut]);
            assert_eq!(frames.are_whole(), cut == 0 || ends.contains(&cut), "{cut}");
            frames.skip(&bytes[cut..]);
            assert!(frames.are_whole(), "{cut}");
        }
        let mut frames = Frames::default();
        for (index, byte) in bytes.iter().enumerate() {
            assert_eq!(frames.step(&[*byte]), 1);
            assert_eq!(frames.are_whole(), ends.contains(&(index + 1)), "{index}");
        }
        assert_eq!(frames.step(&[]), 0);
    }

    #[test]
    fn a_close_frame_is_seen_from_its_first_byte_to_its_last() {
        for masked in [false, true] {
            for payload in [0, 2, 125] {
                let mut frames = Frames::default();
                let before = frame(0x01, masked, 200);
                frames.skip(&before);
                assert!(!frames.are_closing());
                let close = frame(0x88, masked, payload);
                for (index, byte) in close.iter().enumerate() {
                    frames.skip(&[*byte]);
                    assert!(frames.are_closing());
                    assert_eq!(
                        frames.are_closed(),
                        index + 1 == close.len(),
                        "{masked} {payload} {index}"
                    );
                }
                frames.skip(&before);
                assert!(frames.are_closed());
            }
        }
    }

    #[test]
    fn a_length_that_no_frame_has_loses_the_place() {
        for payload in [u64::MAX, 1 << 63] {
            let mut frames = Frames::default();
            let bytes = [&[0x82, 127][..], &payload.to_be_bytes(), &[0x88, 0]].concat();
            frames.skip(&bytes);
            assert!(!frames.are_whole() && !frames.are_closed());
            assert_eq!(frames.step(&[0; 100]), 100);
        }
        let mut frames = Frames::default();
        frames.skip(&[&[0x82, 0xff][..], &(u64::MAX >> 1).to_be_bytes()].concat());
        frames.skip(&[0; 100]);
        assert!(!frames.are_whole());
        assert_eq!(frames.left, (u64::MAX >> 1) + 4 - 100);
    }

    #[test]
    fn the_frames_of_our_own_are_close_frames() {
        assert_eq!(close_frame(), [0x88, 2, 0x03, 0xe9]);
        assert_eq!(
            masked_close_frame([0xff, 0x0f, 1, 2]),
            [0x88, 0x82, 0xff, 0x0f, 1, 2, 0xfc, 0xe6]
        );
        for frame in [close_frame(), masked_close_frame([1, 2, 3, 4])] {
            let mut frames = Frames::default();
            assert_eq!(frames.step(&frame), frame.len());
            assert!(frames.are_closed());
        }
    }
}
