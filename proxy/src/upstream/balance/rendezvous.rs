//! Consistent hashing: a table of buckets, each assigned to the endpoint with the highest score for
//! it.
//!
//! Scores are hashes of endpoint and bucket, computed so that the shares follow the weights exactly
//! on average (weighted rendezvous hashing). An endpoint that leaves gives up only its own buckets;
//! a new one takes its share from all others. The hash is fixed: every proxy, also after a restart,
//! sends a key to the same endpoint. A lookup is one read.

use outrigger_decision::hash_key::{hash, mix};

/// Enough for shares within a few per mille; 32 KiB for each upstream with `consistentHash`.
const BITS: u32 = 14;
const BUCKETS: usize = 1 << BITS;

/// The endpoint of each bucket.
pub(super) struct Table {
    owners: Vec<u16>,
    endpoints: usize,
}

impl Table {
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut bidders: Vec<(u64, f64)> = Vec::new();
        for (name, weight) in endpoints {
            let mut seed = hash(name.as_bytes());
            while bidders.iter().any(|(taken, _)| *taken == seed) {
                seed = mix(seed); // the same address a second time
            }
            bidders.push((seed, f64::from(weight)));
        }
        let owner = |bucket: u64| {
            let bid = |&(seed, weight): &(u64, f64)| {
                let drawn = (mix(seed ^ mix(bucket + 1)) as f64 + 1.0) / (u64::MAX as f64 + 2.0);
                -weight / drawn.ln()
            };
            let bids = bidders.iter().map(bid).enumerate();
            bids.max_by(|a, b| a.1.total_cmp(&b.1))
                .map_or(0, |(index, _)| index as u16)
        };
        Self {
            owners: (0..BUCKETS as u64).map(owner).collect(),
            endpoints: bidders.len(),
        }
    }

    /// The endpoint of the key's bucket, or the next bucket's that is available and has room. When
    /// none has room, the first available one.
    pub(super) fn find(
        &self,
        key: u64,
        usable: &impl Fn(usize) -> bool,
        has_room: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let start = (key >> (64 - BITS)) as usize;
        let mut fallback = None;
        // Neighbouring buckets belong to arbitrary endpoints, so a few for each endpoint reach
        // nearly all.
        for step in 0..BUCKETS.min(8 * self.endpoints) {
            let owner = usize::from(self.owners[(start + step) % BUCKETS]);
            if usable(owner) {
                if has_room(owner) {
                    return Some(owner);
                }
                fallback = fallback.or(Some(owner));
            }
        }
        fallback.or_else(|| (0..self.endpoints).find(|&index| usable(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 100_000;

    fn table(endpoints: &[(&str, u32)]) -> Table {
        Table::new(endpoints.iter().copied())
    }

    fn owners(table: &Table, usable: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..KEYS)
            .map(|key| table.find(mix(key), &usable, |_| true).unwrap())
            .collect()
    }

    fn share(owners: &[usize], index: usize) -> f64 {
        owners.iter().filter(|owner| **owner == index).count() as f64 / KEYS as f64
    }

    #[test]
    fn shares_follow_the_weights() {
        let owners = owners(&table(&[("a:80", 3), ("b:80", 1), ("c:80", 1)]), |_| true);
        for (index, expected) in [0.6, 0.2, 0.2].into_iter().enumerate() {
            let share = share(&owners, index);
            assert!((share - expected).abs() < 0.02, "{index}: {share}");
        }
    }

    #[test]
    fn when_one_leaves_only_its_keys_move() {
        let five = [
            ("a:80", 1),
            ("b:80", 1),
            ("c:80", 1),
            ("d:80", 1),
            ("e:80", 1),
        ];
        let before = owners(&table(&five), |_| true);
        let after = owners(&table(&five[..4]), |_| true);
        let mut moved = 0;
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || *before == 4);
            moved += u64::from(before != after);
        }
        assert!(
            moved <= KEYS / 5 + KEYS / 100,
            "at most a fifth, and it was its own: {moved}"
        );
        // The others share its buckets.
        assert!((0..4).all(|index| (share(&after, index) - 0.25).abs() < 0.02));
        // While it is only unavailable the others get the same buckets, and it gets all of them
        // back later.
        let out = owners(&table(&five), |index| index != 4);
        assert!(
            before
                .iter()
                .zip(&out)
                .all(|(before, out)| before == out || *before == 4)
        );
        assert!((0..4).all(|index| (share(&out, index) - 0.25).abs() < 0.02));
    }

    #[test]
    fn the_order_of_the_file_means_nothing_and_a_name_may_stand_twice() {
        let one = owners(&table(&[("a:80", 1), ("b:80", 2)]), |_| true);
        let other = owners(&table(&[("b:80", 2), ("a:80", 1)]), |_| true);
        assert!(one.iter().zip(&other).all(|(a, b)| *a == 1 - *b));
        let twice = owners(&table(&[("a:80", 1), ("a:80", 1)]), |_| true);
        assert!((share(&twice, 0) - 0.5).abs() < 0.02);
    }

    #[test]
    fn the_only_one_that_can_be_used_is_found_and_none_is_none() {
        let names: Vec<String> = (0..300)
            .map(|number| format!("10.0.0.{number}:80"))
            .collect();
        let table = Table::new(names.iter().map(|name| (&**name, 1)));
        for key in 0..100 {
            assert_eq!(
                table.find(mix(key), &|index| index == 17, |_| true),
                Some(17)
            );
            assert_eq!(
                table.find(mix(key), &|index| index == 17, |_| false),
                Some(17),
                "without room as well"
            );
            assert_eq!(table.find(mix(key), &|_| false, |_| true), None);
        }
    }
}
