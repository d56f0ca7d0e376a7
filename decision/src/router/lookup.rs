//! A map from text to something, made once and read often.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Text to `T`. The keys come from the configuration and clients only look them up, so a fast hash is enough.
pub(super) type TextMap<T> = HashMap<Box<str>, T, RandomState>;

/// The lengths of the keys, longest first: which of them can be a part of a text at all.
pub(super) fn lengths<T>(map: &TextMap<T>) -> Box<[usize]> {
    let mut lengths: Vec<usize> = map.keys().map(|key| key.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.dedup();
    lengths.into()
}
