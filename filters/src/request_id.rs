//! The request id: kept from a trusted peer, else new.
//!
//! A new one is a random UUID (RFC 9562, version 4) in its 36-character form, without allocation.
//! It identifies a request in logs and is no secret: the generator is fast, not cryptographic.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

use http::HeaderValue;

use crate::context::id::RequestId;

/// The longest id that is kept from a trusted peer, in bytes.
pub const MAX_KEPT: usize = 128;

/// Keeps a received id if the peer is trusted and the id is 1 to [`MAX_KEPT`] visible ASCII
/// characters.
pub fn keep(received: Option<HeaderValue>, peer_trusted: bool) -> Option<RequestId> {
    let good = |id: &HeaderValue| {
        peer_trusted
            && (1..=MAX_KEPT).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    received.filter(good).map(RequestId::Kept)
}

/// Generates ids; one for each worker thread, seeded by the operating system.
#[derive(Debug)]
pub struct RequestIds {
    /// xoshiro256++ (Blackman and Vigna), whose only invalid state is all zeros.
    state: Cell<[u64; 4]>,
}

impl RequestIds {
    /// A generator with its own seed.
    pub fn new() -> Self {
        // Each `RandomState` has its own keys, which the standard library gets from the operating
        // system.
        let word = |index: u64| RandomState::new().hash_one(index);
        Self {
            state: Cell::new([word(0), word(1), word(2), word(3) | 1]),
        }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        /// The position of each byte's two digits between the dashes.
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let mut text = [b'-'; 36];
        for (place, byte) in PLACES.into_iter().zip(self.next_uuid()) {
            [text[place], text[place + 1]] = HEX[usize::from(byte)];
        }
        RequestId::New(text)
    }

    fn next_uuid(&self) -> [u8; 16] {
        let random = u128::from(self.next_word()) << 64 | u128::from(self.next_word());
        let mut bytes = random.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }

    fn next_word(&self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.state.get();
        let word = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        self.state.set([a, b, c, d]);
        word
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// The two digits of every byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_new_id_is_a_version_4_uuid_and_never_comes_twice() {
        let (one, other) = (RequestIds::new(), RequestIds::default());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            for ids in [&one, &other] {
                let id = ids.next();
                assert_eq!(id.to_value(), id.as_str());
                let text = id.as_str().to_owned();
                let parts: Vec<&str> = text.split('-').collect();
                assert_eq!(
                    parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
                    [8, 4, 4, 4, 12]
                );
                assert!(
                    text.bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')),
                    "{text}"
                );
                assert!(
                    parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']),
                    "{text}"
                );
                assert!(seen.insert(text));
            }
        }
    }

    #[test]
    fn an_id_is_kept_only_from_a_trusted_peer_and_only_when_short_and_visible() {
        let received = |bytes: &[u8]| Some(HeaderValue::from_bytes(bytes).unwrap());
        for good in [&b"a"[..], b"{\"id\":1}", &[b'~'; MAX_KEPT]] {
            assert_eq!(
                keep(received(good), true).map(|id| id.to_value()),
                received(good)
            );
            assert!(keep(received(good), false).is_none());
        }
        for bad in [&b""[..], b"a b", b"a\tb", b"\xff", &[b'a'; MAX_KEPT + 1]] {
            assert!(keep(received(bad), true).is_none());
        }
        assert!(keep(None, true).is_none());
    }
}
