//! A map from text to something, made once and read often.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Text to `T`, with a hash for short keys from a trusted file.
pub(super) type TextMap<T> = HashMap<Box<str>, T, BuildHasherDefault<TextHasher>>;

/// Eight bytes at a time, each folded in by one wide multiplication (the step of wyhash). Not keyed.
#[derive(Default, Clone, Copy)]
pub(super) struct TextHasher(u64);

impl TextHasher {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.fold(
                chunk
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            );
        }
        // The length tells apart what differs only in trailing zeros.
        let rest = chunks
            .remainder()
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.fold(rest);
        self.fold(bytes.len() as u64);
    }

    /// Text ends with a byte that no text has; one key is hashed alone, so it says nothing here.
    fn write_u8(&mut self, _end: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The lengths of the keys, longest first: which of them can be a part of a text at all.
pub(super) fn lengths<T>(map: &TextMap<T>) -> Box<[usize]> {
    let mut lengths: Vec<usize> = map.keys().map(|key| key.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.dedup();
    lengths.into()
}
