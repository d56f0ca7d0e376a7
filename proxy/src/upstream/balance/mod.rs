//! Chooses an endpoint. Synchronous and total: indices in, an index out; what is not available is told by a closure.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use outrigger_config::model::LoadBalancerPolicy;

/// Turns of a round-robin schedule; weights are scaled down to fit, so that a schedule stays small.
const MAX_TURNS: u64 = 4096;

/// The choice among the endpoints of one upstream.
pub(crate) struct Balancer {
    policy: LoadBalancerPolicy,
    weights: Vec<u32>,
    /// Running sums of the weights, for draws by weight.
    sums: Vec<u32>,
    /// One smooth round; only for round robin.
    turns: Vec<u16>,
    turn: AtomicUsize,
}

/// What the balancer asks about an endpoint.
pub(crate) trait Endpoints {
    /// Whether a request may be sent to it.
    fn is_available(&self, index: usize) -> bool;
    /// Whether this request was sent to it before.
    fn was_tried(&self, index: usize) -> bool;
    /// Requests in flight.
    fn in_flight(&self, index: usize) -> u32;
}

impl Balancer {
    /// A balancer over endpoints with these weights.
    pub(crate) fn new(policy: LoadBalancerPolicy, weights: impl Iterator<Item = u32>) -> Self {
        let weights: Vec<u32> = weights.collect();
        let sums = weights
            .iter()
            .scan(0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let turns = match policy {
            LoadBalancerPolicy::RoundRobin => smooth_round(&weights),
            LoadBalancerPolicy::LeastRequest | LoadBalancerPolicy::Random => Vec::new(),
        };
        // Several proxies that start together do not all begin with the first endpoint.
        let turn = AtomicUsize::new(fastrand::usize(..turns.len().max(1)));
        Self { policy, weights, sums, turns, turn }
    }

    /// The endpoint for the next try, one that was not tried yet where there is one.
    pub(crate) fn choose(&self, endpoints: &impl Endpoints) -> Option<usize> {
        if self.weights.len() == 1 {
            return endpoints.is_available(0).then_some(0);
        }
        let untried = |index: usize| !endpoints.was_tried(index) && endpoints.is_available(index);
        self.choose_from(endpoints, &untried)
            .or_else(|| self.choose_from(endpoints, &|index| endpoints.is_available(index)))
    }

    fn choose_from(&self, endpoints: &impl Endpoints, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        match self.policy {
            LoadBalancerPolicy::RoundRobin => self.next_turn(usable),
            LoadBalancerPolicy::Random => self.draw_usable(usable),
            LoadBalancerPolicy::LeastRequest => self.less_busy(endpoints, usable),
        }
    }

    fn next_turn(&self, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.turns.len();
        (0..count)
            .map(|_| usize::from(self.turns[self.turn.fetch_add(1, Relaxed) % count]))
            .find(|&index| usable(index))
    }

    fn less_busy(&self, endpoints: &impl Endpoints, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        let one = self.draw_usable(usable)?;
        let two = self.draw_usable(&|index| index != one && usable(index)).unwrap_or(one);
        // in_flight + 1: a request that is about to be added counts, and weights still matter when all are idle.
        let load = |index: usize| u64::from(endpoints.in_flight(index)) + 1;
        let (one_load, two_load) =
            (load(one) * u64::from(self.weights[two]), load(two) * u64::from(self.weights[one]));
        // Both draws already follow the weights; comparing by load per weight as well would count them twice
        // while everything is idle, so a tie in plain requests keeps the first draw.
        if load(one) == load(two) || one_load <= two_load { Some(one) } else { Some(two) }
    }

    /// A draw by weight; after a few misses a walk from a random place, so that one usable endpoint is always found.
    fn draw_usable(&self, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..3 {
            let drawn = self.draw();
            if usable(drawn) {
                return Some(drawn);
            }
        }
        let count = self.weights.len();
        let start = fastrand::usize(..count);
        (0..count).map(|step| (start + step) % count).find(|&index| usable(index))
    }

    fn draw(&self) -> usize {
        let total = self.sums.last().copied().unwrap_or(1).max(1);
        let point = fastrand::u32(..total);
        self.sums.partition_point(|&sum| sum <= point)
    }
}

/// One round in which each endpoint has as many turns as its weight, spread evenly (nginx's smooth weighted
/// round robin).
fn smooth_round(weights: &[u32]) -> Vec<u16> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut shares: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
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
            let best = (0..current.len()).max_by_key(|&i| (current[i], std::cmp::Reverse(i))).unwrap_or(0);
            current[best] -= total;
            best as u16
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
