//! One limit with a bucket for each key, shared by all workers.
//!
//! Keys are stored as 64-bit keyed hashes: a client can send any number of values, so none is
//! stored. Two keys with the same hash would share a bucket; with [`KEYS`] keys the probability is
//! 1 in 10^11, and without the secret a client cannot construct one. Text is hashed by SipHash; an
//! address is a number, for which one multiplication with secret numbers is enough, at a fortieth
//! of the cost.
//!
//! The buckets are in shards behind locks that are held for one lookup: two workers rarely need the
//! same one, and nothing waits while it is held. The single bucket of a limit without key is a
//! plain atomic.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_config::model::{RateLimit, RateLimitKey};
use tokio::time::Instant;

use super::{
    bucket::{Nanos, Rate},
    key::Key,
    shard::Shard,
};

/// The most buckets of one limit; when it is full, the bucket closest to full is evicted. Keys are
/// spread over the shards by hash, so a shard may be full earlier: at about 9 000 keys.
pub const KEYS: usize = 10_000;

const SHARDS: usize = 16;

/// The zero point of [`nanos`]: its first call.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// A moment on the clock of all limits.
pub(super) fn nanos(at: Instant) -> Nanos {
    let began = *BEGAN.get_or_init(|| at);
    // A request that began before the zero point counts as beginning there.
    Nanos::try_from(at.saturating_duration_since(began).as_nanos()).unwrap_or(Nanos::MAX)
}

/// One limit.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    buckets: Buckets,
}

#[derive(Debug)]
enum Buckets {
    One(AtomicU64),
    Keyed {
        secret: RandomState,
        shards: Box<[Mutex<Shard>]>,
    },
}

impl Limiter {
    /// A limit whose buckets are full.
    pub fn new(model: &RateLimit) -> Self {
        let buckets = match model.key {
            RateLimitKey::Global => Buckets::One(AtomicU64::new(0)),
            _ => Buckets::keyed(),
        };
        Self {
            rate: Rate::new(model.requests, model.per, model.burst),
            buckets,
        }
    }

    /// Counts one request, at a moment on the clock of all limits.
    ///
    /// # Errors
    /// The key is over the limit; the time until it is not.
    pub fn admit(&self, key: &Key<'_>, now: Nanos) -> Result<(), Duration> {
        match &self.buckets {
            Buckets::One(full_at) => self.take_atomic(full_at, now),
            Buckets::Keyed { secret, shards } => {
                let hash = secret.hash_one(key);
                let shard = &shards[(hash >> 32) as usize % shards.len()];
                shard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(hash, self.rate, now)
            }
        }
    }

    /// The result of [`admit`](Self::admit), without counting.
    ///
    /// # Errors
    /// The key would be over the limit; the time until it is not.
    pub fn peek(&self, key: &Key<'_>, now: Nanos) -> Result<(), Duration> {
        let full_at = match &self.buckets {
            Buckets::One(full_at) => full_at.load(Relaxed),
            Buckets::Keyed { secret, shards } => {
                let hash = secret.hash_one(key);
                let shard = &shards[(hash >> 32) as usize % shards.len()];
                shard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .full_at(hash)
            }
        };
        self.rate.take(full_at, now).map(drop)
    }

    fn take_atomic(&self, bucket: &AtomicU64, now: Nanos) -> Result<(), Duration> {
        let mut full_at = bucket.load(Relaxed);
        loop {
            let next = self.rate.take(full_at, now)?;
            match bucket.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(newer) => full_at = newer,
            }
        }
    }
}

impl Buckets {
    fn keyed() -> Self {
        Self::Keyed {
            secret: RandomState::new(),
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(KEYS / SHARDS)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn limiter(key: RateLimitKey) -> Limiter {
        Limiter::new(&RateLimit::new("l".into(), 1, Duration::from_secs(1), key))
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let (limiter, now) = (limiter(RateLimitKey::ClientAddress), SECOND);
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|ip| Key::address(ip.into()));
        assert!(limiter.admit(&one, now).is_ok());
        assert_eq!(limiter.admit(&one, now), Err(Duration::from_secs(1)));
        assert!(limiter.admit(&other, now).is_ok());
        assert!(limiter.admit(&one, now + SECOND).is_ok());
    }

    #[test]
    fn the_global_bucket_is_exact_between_threads() {
        let mut model = RateLimit::new(
            "l".into(),
            1,
            Duration::from_secs(3600),
            RateLimitKey::Global,
        );
        model.burst = 5_000;
        let limiter = Arc::new(Limiter::new(&model));
        let count = || {
            let limiter = Arc::clone(&limiter);
            std::thread::spawn(move || {
                (0..5_000)
                    .filter(|_| limiter.admit(&Key::Global, SECOND).is_ok())
                    .count()
            })
        };
        let threads = [count(), count()];
        let granted: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(granted, 5_000);
    }

    #[test]
    fn any_number_of_keys_takes_bounded_room_and_the_one_that_owes_most_is_kept() {
        let header = RateLimitKey::Header(http::header::HOST);
        let mut model = RateLimit::new("l".into(), 1, Duration::from_secs(1), header);
        model.burst = 2;
        let (limiter, now) = (Limiter::new(&model), SECOND);
        let debtor = Key::Text(b"debtor");
        assert!(limiter.admit(&debtor, now).is_ok() && limiter.admit(&debtor, now).is_ok());
        for number in 0..10 * KEYS as u64 {
            assert!(
                limiter
                    .admit(&Key::Text(&number.to_be_bytes()), now)
                    .is_ok()
            );
        }
        assert!(
            limiter.admit(&debtor, now).is_err(),
            "its bucket is not full again"
        );
        let Buckets::Keyed { shards, .. } = &limiter.buckets else {
            panic!("it has keys")
        };
        let kept: usize = shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= KEYS, "{kept}");
    }
}
