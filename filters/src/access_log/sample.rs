//! `samplePercent`: an even share of the requests, without random numbers.

use std::cell::Cell;

use outrigger_config::model::Percent;

const WHOLE: u32 = 1_000_000;

/// Selects a share of a worker's requests, spread evenly: 25 % is every fourth, beginning with the
/// first.
#[derive(Debug)]
pub struct Sampler {
    share: u32,
    /// The accumulated share, in parts of [`WHOLE`]; less than one line after each call.
    owed: Cell<u32>,
}

impl Sampler {
    /// A sampler for one worker.
    pub fn new(share: Percent) -> Self {
        let share = share.per_million().min(WHOLE);
        Self {
            share,
            owed: Cell::new(WHOLE - share),
        }
    }

    /// Whether the next request is logged.
    pub fn sample(&self) -> bool {
        if self.share == 0 {
            return false;
        }
        let owed = self.owed.get() + self.share;
        let due = owed >= WHOLE;
        self.owed.set(if due { owed - WHOLE } else { owed });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(parts: u32, requests: usize) -> Vec<bool> {
        let sampler = Sampler::new(Percent::of_million(parts));
        (0..requests).map(|_| sampler.sample()).collect()
    }

    #[test]
    fn a_share_is_taken_exactly_and_evenly() {
        assert!(picks(1_000_000, 1_000).iter().all(|picked| *picked));
        assert!(picks(0, 1_000).iter().all(|picked| !*picked));
        assert_eq!(picks(250_000, 6), [true, false, false, false, true, false]);
        for parts in [1, 100, 333_333, 500_000, 666_667, 999_999] {
            let picked = picks(parts, 1_000_000)
                .iter()
                .filter(|picked| **picked)
                .count();
            assert!(picked.abs_diff(parts as usize) <= 1, "{parts}: {picked}");
        }
    }
}
