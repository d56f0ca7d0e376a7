//! The buckets of a part of the keys, at most a fixed number of them.
//!
//! When there is no room for a new key, a bucket is evicted: a full one, which is the same as no
//! bucket at all, or else the one that will be full first. The key that is furthest over its limit
//! is evicted last, so a client cannot reset its limit by using other keys.
//!
//! The eviction order is a heap that is corrected lazily: a bucket's entry is the moment at which
//! it would have been full when it was last corrected. Requests only move that moment forward, so
//! the top of the heap is never too late. A request for a stored key does not touch the heap. An
//! eviction corrects each entry at most once for each request that moved it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
    time::Duration,
};

use foldhash::fast::RandomState;

use super::bucket::{Nanos, Rate};

/// Buckets by the hash of their key, which is secret already: the map needs only a fast hash.
#[derive(Debug)]
pub(super) struct Shard {
    buckets: HashMap<u64, Nanos, RandomState>,
    order: BinaryHeap<Reverse<(Nanos, u64)>>,
    room: usize,
}

impl Shard {
    /// An empty shard for this many buckets, at least one. Memory is allocated as keys arrive.
    pub(super) fn new(room: usize) -> Self {
        Self {
            buckets: HashMap::default(),
            order: BinaryHeap::new(),
            room: room.max(1),
        }
    }

    /// Takes one token from the bucket of a key.
    ///
    /// # Errors
    /// The bucket is empty; the time until it is not.
    pub(super) fn take(&mut self, key: u64, rate: Rate, now: Nanos) -> Result<(), Duration> {
        if let Some(full_at) = self.buckets.get_mut(&key) {
            *full_at = rate.take(*full_at, now)?;
            return Ok(());
        }
        let full_at = rate.take(0, now)?;
        if self.buckets.len() >= self.room {
            self.evict();
        }
        self.buckets.insert(key, full_at);
        self.order.push(Reverse((full_at, key)));
        Ok(())
    }

    /// When the bucket of a key is full; a missing bucket is full.
    pub(super) fn full_at(&self, key: u64) -> Nanos {
        self.buckets.get(&key).copied().unwrap_or(0)
    }

    fn evict(&mut self) {
        while let Some(mut first) = self.order.peek_mut() {
            let Reverse((place, key)) = *first;
            match self.buckets.get(&key) {
                Some(&full_at) if full_at > place => *first = Reverse((full_at, key)),
                _ => {
                    PeekMut::pop(first);
                    self.buckets.remove(&key);
                    return;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(
            self.buckets.len(),
            self.order.len(),
            "one place in the order for each bucket"
        );
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// One token a second, three at once.
    fn rate() -> Rate {
        Rate::new(1, Duration::from_secs(1), 3)
    }

    fn is_kept(shard: &Shard, key: u64) -> bool {
        shard.buckets.contains_key(&key)
    }

    #[test]
    fn full_buckets_make_room_first_and_the_deepest_debt_last() {
        let mut shard = Shard::new(3);
        for (key, tokens) in [(1, 3), (2, 1), (3, 2)] {
            for _ in 0..tokens {
                shard.take(key, rate(), SECOND).unwrap();
            }
        }
        // After a second and a half, key 2 alone is full.
        let later = 5 * SECOND / 2;
        for _ in 0..3 {
            shard.take(4, rate(), later).unwrap();
        }
        assert_eq!(
            [1, 2, 3, 4].map(|key| is_kept(&shard, key)),
            [true, false, true, true]
        );
        // Full at 4 s, 3 s and 5.5 s: key 3 owes least.
        for _ in 0..2 {
            shard.take(5, rate(), later).unwrap();
        }
        assert_eq!(
            [1, 3, 4, 5].map(|key| is_kept(&shard, key)),
            [true, false, true, true]
        );
        shard.take(6, rate(), later).unwrap();
        assert_eq!(
            [1, 4, 5, 6].map(|key| is_kept(&shard, key)),
            [false, true, true, true]
        );
        assert!(shard.take(4, rate(), later).is_err(), "still empty");
    }

    #[test]
    fn any_number_of_keys_and_requests_takes_bounded_room() {
        let mut shard = Shard::new(8);
        for number in 0..1_000 {
            let _ = shard.take(number % 37, rate(), number * SECOND / 10);
            assert!(shard.len() <= 8);
        }
        assert_eq!(shard.len(), 8);
    }
}
