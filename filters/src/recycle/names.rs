//! A cache of header names, by their exact spelling. Clients and apps send the same names again and
//! again; a cached name is neither validated nor copied.
//!
//! Each thread has its own table of a fixed size: a client with ever new names costs as much as
//! without the cache.

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher},
};

use foldhash::fast::FixedState;
use http::HeaderName;

use super::limit;

/// Longer names are rare and are not cached.
const LONGEST: usize = 31;

/// The longest name that is looked up.
const LOOKED_UP: usize = limit("names", LONGEST);

/// A power of two. Each slot holds two names, for pairs that alternate.
const SLOTS: usize = 128;

/// With it, at most two of the most frequent names share a slot.
const SEED: u64 = 0;

/// The spelling of a name, and its parsed form.
struct CachedName {
    length: u8,
    spelt: [u8; LONGEST],
    name: HeaderName,
}

thread_local! {
    /// Allocated on first use: most threads parse no messages.
    static CACHE: RefCell<Box<[[Option<CachedName>; 2]]>> = RefCell::new((0..SLOTS).map(|_| [None, None]).collect());
}

/// The name with this spelling; `None` when it is invalid.
pub fn name(spelt: &[u8]) -> Option<HeaderName> {
    if spelt.len() > LOOKED_UP {
        return HeaderName::from_bytes(spelt).ok();
    }
    CACHE.with_borrow_mut(|cached| {
        let slot = &mut cached[slot(spelt)];
        if let Some(cached) = slot.iter().flatten().find(|cached| cached.spelt() == spelt) {
            return Some(cached.name.clone());
        }
        let name = HeaderName::from_bytes(spelt).ok()?;
        slot.swap(0, 1); // evicts the older one
        slot[0] = Some(CachedName::new(spelt, name.clone()));
        Some(name)
    })
}

impl CachedName {
    fn new(spelt: &[u8], name: HeaderName) -> Self {
        let mut cached = Self {
            length: spelt.len() as u8,
            spelt: [0; LONGEST],
            name,
        };
        cached.spelt[..spelt.len()].copy_from_slice(spelt);
        cached
    }

    fn spelt(&self) -> &[u8] {
        &self.spelt[..usize::from(self.length)]
    }
}

/// Collisions cost time, never correctness.
fn slot(spelt: &[u8]) -> usize {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    hasher.write(spelt);
    hasher.finish() as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_same_the_first_time_and_later() {
        let long = "x".repeat(LONGEST + 1);
        for _ in 0..3 {
            for spelt in [
                "Host",
                "HOST",
                "host",
                "X-Custom-Name",
                "x-custom-name",
                "x",
                &long,
            ] {
                assert_eq!(
                    name(spelt.as_bytes()).unwrap().as_str(),
                    spelt.to_ascii_lowercase(),
                    "{spelt}"
                );
            }
            for bad in ["", " ", "a b", "a:", "\u{e9}", "a\0", "a\r"] {
                assert_eq!(name(bad.as_bytes()), None, "{bad:?}");
            }
        }
    }

    #[test]
    fn more_names_than_are_kept_are_still_themselves() {
        for a_pair in [["x-a", "x-b"], ["Host", "HOST"]] {
            a_pair
                .iter()
                .for_each(|spelt| assert!(name(spelt.as_bytes()).is_some()));
        }
        for round in 0..2 {
            for number in 0..10 * SLOTS {
                let spelt = format!("X-{number}");
                assert_eq!(
                    name(spelt.as_bytes()).unwrap().as_str(),
                    format!("x-{number}"),
                    "{round}"
                );
            }
        }
    }

    #[test]
    fn names_of_every_day_all_have_a_place() {
        let names = [
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Cookie",
            "Referer",
            "Content-Type",
            "Content-Length",
            "Authorization",
            "Cache-Control",
            "Connection",
            "X-Forwarded-For",
            "Date",
            "Server",
            "ETag",
            "Last-Modified",
            "Vary",
            "Set-Cookie",
            "Location",
        ];
        let mut slots: Vec<_> = names.iter().map(|name| slot(name.as_bytes())).collect();
        slots.sort_unstable();
        assert!(
            slots.windows(3).all(|three| three[0] != three[2]),
            "{slots:?}"
        );
    }
}
