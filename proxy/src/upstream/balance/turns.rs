//! Weighted turns, spread evenly, and the turns that endpoints owe each other.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Turns of a schedule; weights are scaled down to fit, so that a schedule stays small.
const MAX_TURNS: u64 = 4096;

/// A schedule, and the position in it.
pub(super) struct Turns {
    schedule: Vec<u16>,
    next: AtomicUsize,
    /// For each endpoint, the index plus one of the endpoint that it owes a turn to; 0 for none.
    debts: Box<[AtomicU32]>,
}

const NO_DEBT: u32 = 0;

impl Turns {
    pub(super) fn new(weights: &[u32]) -> Self {
        let schedule = smooth_round(weights);
        // Proxies that start together begin at different endpoints.
        let next = AtomicUsize::new(fastrand::usize(..schedule.len().max(1)));
        let debts = weights.iter().map(|_| AtomicU32::new(NO_DEBT)).collect();
        Self {
            schedule,
            next,
            debts,
        }
    }

    /// The next available endpoint. During slow start an endpoint misses turns, unless no other is
    /// available.
    pub(super) fn next(
        &self,
        usable: &impl Fn(usize) -> bool,
        warmth: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let count = self.schedule.len();
        let mut missed = None;
        // One round at most, so that the loop ends when no endpoint is available.
        for _ in 0..count {
            let turn = usize::from(self.schedule[self.next.fetch_add(1, Relaxed) % count]);
            let index = self
                .take_debt(turn)
                .filter(|&owner| usable(owner))
                .unwrap_or(turn);
            if usable(index) {
                if super::is_warm_enough(warmth(index)) {
                    return Some(index);
                }
                missed = Some(index);
            }
        }
        missed
    }

    /// `to` takes the turn of `from` and owes its own next one in exchange, so that weights hold in
    /// the long run. It owes at most one: an endpoint that is slow for a long time does not
    /// accumulate turns.
    pub(super) fn exchange_turn(&self, from: usize, to: usize) {
        let _ = self.debts[to].compare_exchange(NO_DEBT, from as u32 + 1, Relaxed, Relaxed);
    }

    /// The endpoint that this turn is owed to, if any; clears the debt.
    fn take_debt(&self, turn: usize) -> Option<usize> {
        let debt = &self.debts[turn];
        if debt.load(Relaxed) == NO_DEBT {
            return None;
        }
        (debt.swap(NO_DEBT, Relaxed) as usize).checked_sub(1)
    }
}

/// One round in which each endpoint has as many turns as its weight, spread evenly (nginx's smooth
/// weighted round robin).
fn smooth_round(weights: &[u32]) -> Vec<u16> {
    // Weights 2 and 4 need a schedule of three turns, not six.
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut shares: Vec<i64> = weights
        .iter()
        .map(|weight| i64::from(weight / divisor))
        .collect();
    let total: i64 = shares.iter().sum();
    if total as u64 > MAX_TURNS {
        for share in &mut shares {
            *share = (*share * MAX_TURNS as i64 / total).max(1);
        }
    }
    let total: i64 = shares.iter().sum();
    let mut current = vec![0_i64; shares.len()];
    (0..total)
        .map(|_| {
            for (value, share) in current.iter_mut().zip(&shares) {
                *value += share;
            }
            // The endpoint that is furthest behind its share; of equals the first.
            let best = (0..current.len())
                .max_by_key(|&i| (current[i], std::cmp::Reverse(i)))
                .unwrap_or(0);
            current[best] -= total;
            best as u16
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_robin_spreads_turns_instead_of_bunching_them() {
        assert_eq!(smooth_round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(smooth_round(&[2, 2]), [0, 1]);
        assert!(smooth_round(&[1000, 999, 997, 991, 983]).len() <= MAX_TURNS as usize + 5);
    }
}
