//! Frame headers (RFC 9113 section 4.1), and frames with a fixed content.

use super::ErrorCode;

/// Frame types (RFC 9113 section 6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;
/// Of DATA and HEADERS.
pub(super) const PADDED: u8 = 8;
/// Of HEADERS.
pub(super) const PRIORITIZED: u8 = 0x20;

/// Longest payload of a frame, in both directions: the default of the protocol.
pub(super) const LONGEST: usize = 16 * 1024;

/// The parameters of SETTINGS (RFC 9113 section 6.5.2).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) const SIZE: usize = 9;

    pub(super) fn read(bytes: &[u8; Self::SIZE]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            stream: number([s0, s1, s2, s3]),
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let [_, l0, l1, l2] = (self.length as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        out.extend_from_slice(&[l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]);
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A number of 31 bits: the first bit is reserved.
pub(super) fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

pub(super) fn write_reset(out: &mut Vec<u8>, stream: u32, reason: ErrorCode) {
    Head {
        length: 4,
        kind: kind::RST_STREAM,
        flags: 0,
        stream,
    }
    .write(out);
    out.extend_from_slice(&reason.0.to_be_bytes());
}

pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    Head {
        length: 4,
        kind: kind::WINDOW_UPDATE,
        flags: 0,
        stream,
    }
    .write(out);
    out.extend_from_slice(&more.to_be_bytes());
}

pub(super) fn write_go_away(out: &mut Vec<u8>, last: u32, reason: ErrorCode) {
    Head {
        length: 8,
        kind: kind::GOAWAY,
        flags: 0,
        stream: 0,
    }
    .write(out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&reason.0.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    Head {
        length: 8,
        kind: kind::PING,
        flags,
        stream: 0,
    }
    .write(out);
    out.extend_from_slice(&payload);
}

pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    Head {
        length: 6 * settings.len(),
        kind: kind::SETTINGS,
        flags: 0,
        stream: 0,
    }
    .write(out);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_settings_ack(out: &mut Vec<u8>) {
    Head {
        length: 0,
        kind: kind::SETTINGS,
        flags: ACK,
        stream: 0,
    }
    .write(out);
}

/// The payload of HEADERS or DATA without padding and priority; `None` when the frame is too short
/// for them.
pub(super) fn strip(head: Head, mut payload: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    if head.has(PADDED) {
        let (first, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(*first), rest);
    }
    if head.kind == kind::HEADERS && head.has(PRIORITIZED) {
        payload = payload.get(5..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for head in [
            Head {
                length: 0,
                kind: 0,
                flags: 0,
                stream: 0,
            },
            Head {
                length: 0x00ab_cdef,
                kind: 9,
                flags: 0xff,
                stream: 0x7fff_ffff,
            },
        ] {
            let mut bytes = Vec::new();
            head.write(&mut bytes);
            let bytes: [u8; Head::SIZE] = bytes.try_into().unwrap();
            assert_eq!(Head::read(&bytes), head);
        }
        let reserved = [0, 0, 0, 0, 0, 0x80, 0, 0, 1];
        assert_eq!(Head::read(&reserved).stream, 1);
    }

    #[test]
    fn padding_and_priority_are_stripped_where_they_fit() {
        let head = |kind, flags| Head {
            length: 0,
            kind,
            flags,
            stream: 1,
        };
        let both = PADDED | PRIORITIZED;
        for (kind, flags, payload, expected) in [
            (kind::DATA, 0, &b"abc"[..], Some(&b"abc"[..])),
            (kind::DATA, PADDED, b"\x01abc", Some(b"ab")),
            (kind::DATA, PADDED, b"\x03abc", Some(b"")),
            (kind::DATA, PADDED, b"\x04abc", None),
            (kind::DATA, PADDED, b"", None),
            (kind::DATA, PRIORITIZED, b"abc", Some(b"abc")),
            (kind::HEADERS, PRIORITIZED, b"12345abc", Some(b"abc")),
            (kind::HEADERS, PRIORITIZED, b"1234", None),
            (kind::HEADERS, both, b"\x0212345abc", Some(b"a")),
            (kind::HEADERS, both, b"\x0412345abc", None),
        ] {
            assert_eq!(
                strip(head(kind, flags), payload),
                expected,
                "{kind} {flags} {payload:?}"
            );
        }
    }
}
