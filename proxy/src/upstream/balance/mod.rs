//! Chooses an endpoint. Synchronous and total: indices in, an index out; a trait provides the state
//! of endpoints and of the request.
//!
//! Weights hold as long as no endpoint is clearly better. Turns and draws follow the weights. A
//! comparison replaces the endpoint whose turn it is only by a clearly better one, which gives up
//! its own next turn in exchange. An endpoint that fails fast has few requests in flight and short
//! times, so its low load never counts in its favour ([`failures`]).

pub(crate) mod failures;
pub(crate) mod latency;
mod rendezvous;
mod turns;

use outrigger_config::model::LoadBalancerPolicy;

use self::{rendezvous::Table, turns::Turns};

/// The balancer of one upstream.
pub(crate) struct Balancer {
    policy: Policy,
    weights: Vec<u32>,
    /// Running sums of the weights, for weighted draws.
    sums: Vec<u32>,
}

enum Policy {
    RoundRobin(Turns),
    Random,
    LeastRequest(Turns),
    PeakEwma(Turns),
    ConsistentHash(Table),
}

/// State of the endpoints, and of the request to be sent.
pub(crate) trait Endpoints {
    fn is_available(&self, index: usize) -> bool;
    /// Whether this is the first attempt of the request.
    fn is_first_attempt(&self) -> bool;
    /// Whether an earlier attempt of this request used it.
    fn was_attempted(&self, index: usize) -> bool;
    fn in_flight(&self, index: usize) -> u32;
    /// Whether a considerable part of its last responses were failures.
    fn is_failing(&self, index: usize) -> bool;
    /// Its response time in microseconds; `None` without an observation. Used by `peakEwma`.
    fn latency(&self, index: usize) -> Option<f64>;
    /// Its share of its weight during slow start, above 0 and up to 1.
    fn warmth(&self, index: usize) -> f64;
    /// The hash key of the request. Used by `consistentHash`.
    fn key(&self) -> Option<u64>;
}

impl Balancer {
    /// A balancer over endpoints with these names and weights.
    pub(crate) fn new<'a>(
        policy: LoadBalancerPolicy,
        endpoints: impl Iterator<Item = (&'a str, u32)> + Clone,
    ) -> Self {
        let weights: Vec<u32> = endpoints.clone().map(|(_, weight)| weight).collect();
        let sums = weights
            .iter()
            .scan(0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let policy = match policy {
            LoadBalancerPolicy::RoundRobin => Policy::RoundRobin(Turns::new(&weights)),
            LoadBalancerPolicy::LeastRequest => Policy::LeastRequest(Turns::new(&weights)),
            LoadBalancerPolicy::PeakEwma => Policy::PeakEwma(Turns::new(&weights)),
            LoadBalancerPolicy::Random => Policy::Random,
            LoadBalancerPolicy::ConsistentHash => Policy::ConsistentHash(Table::new(endpoints)),
        };
        Self {
            policy,
            weights,
            sums,
        }
    }

    /// The endpoint for the next attempt; one that was not used by this request, if possible.
    pub(crate) fn choose(&self, endpoints: &impl Endpoints) -> Option<usize> {
        match self.weights.len() {
            0 => return None, // DNS has not returned an endpoint yet
            1 => return endpoints.is_available(0).then_some(0),
            _ => {}
        }
        let unattempted =
            |index: usize| !endpoints.was_attempted(index) && endpoints.is_available(index);
        self.choose_from(endpoints, &unattempted)
            .or_else(|| self.choose_from(endpoints, &|index| endpoints.is_available(index)))
    }

    fn choose_from(
        &self,
        endpoints: &impl Endpoints,
        usable: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match &self.policy {
            Policy::RoundRobin(turns) if endpoints.is_first_attempt() => {
                turns.next(usable, |index| endpoints.warmth(index))
            }
            // A retry takes no turn: with two endpoints of which one fails, every first attempt
            // would go to the failing one.
            Policy::RoundRobin(_) | Policy::Random => self.draw_usable(endpoints, usable),
            Policy::LeastRequest(turns) => {
                self.better_of_two(turns, endpoints, usable, |_| Some(1.0))
            }
            Policy::PeakEwma(turns) => {
                self.better_of_two(turns, endpoints, usable, |index| endpoints.latency(index))
            }
            // Without a key there is no affinity to keep.
            Policy::ConsistentHash(table) => match endpoints.key() {
                Some(key) => table.find(key, usable, |index| self.has_room(endpoints, index)),
                None => self.draw_usable(endpoints, usable),
            },
        }
    }

    /// The endpoint whose turn it is, unless a second, drawn one is better (power of two choices).
    fn better_of_two(
        &self,
        turns: &Turns,
        endpoints: &impl Endpoints,
        usable: &impl Fn(usize) -> bool,
        cost: impl Fn(usize) -> Option<f64>,
    ) -> Option<usize> {
        let first = endpoints.is_first_attempt();
        // A retry draws instead of taking a turn, as in `choose_from`.
        let one = match first {
            true => turns.next(usable, |index| endpoints.warmth(index))?,
            false => self.draw_usable(endpoints, usable)?,
        };
        let Some(two) = self.draw_usable(endpoints, &|index| index != one && usable(index)) else {
            return Some(one);
        };
        // Low load does not count in favour of an endpoint that fails.
        if endpoints.is_failing(two) || !self.is_better(two, one, endpoints, cost) {
            return Some(one);
        }
        if first {
            turns.exchange_turn(one, two);
        }
        Some(two)
    }

    /// Whether `two` is clearly better than `one`, whose turn it is.
    fn is_better(
        &self,
        two: usize,
        one: usize,
        endpoints: &impl Endpoints,
        cost: impl Fn(usize) -> Option<f64>,
    ) -> bool {
        let share = |index: usize| f64::from(self.weights[index]) * endpoints.warmth(index);
        let (one_share, two_share) = (share(one), share(two));
        let (one_cost, two_cost) = match (cost(one), cost(two)) {
            (Some(one), Some(two)) => (one, two),
            // `two` has no measured time yet: send it one request, to measure.
            (one_cost, None) if endpoints.in_flight(two) == 0 && one_cost.is_some() => return true,
            (_, None) => return false,
            (None, _) => return endpoints.in_flight(one) > 0,
        };
        let (one_busy, two_busy) = (
            f64::from(endpoints.in_flight(one)),
            f64::from(endpoints.in_flight(two)),
        );
        // Turns follow the weights already. While the loads differ by less than one request of a
        // share, and the times are similar, keep the turn: comparing by weight here would apply the
        // weights twice.
        let more = (one_busy / one_share - two_busy / two_share).abs() * one_share.min(two_share);
        if more < 1.0 && one_cost <= two_cost * CLEARLY && two_cost <= one_cost * CLEARLY {
            return false;
        }
        // Count the request that is about to be added.
        let load = |cost: f64, busy: f64, share: f64| cost * (busy + 1.0) / share;
        load(two_cost, two_busy, two_share) < load(one_cost, one_busy, one_share)
    }

    /// A weighted draw. After a few misses one pass over all, so that an available one is always
    /// found.
    fn draw_usable(
        &self,
        endpoints: &impl Endpoints,
        usable: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        const DRAWS: usize = 3;
        for _ in 0..DRAWS {
            let drawn = self.draw();
            if usable(drawn) && is_warm_enough(endpoints.warmth(drawn)) {
                return Some(drawn);
            }
        }
        let mut chosen = None;
        let mut sum = 0.0;
        for index in (0..self.weights.len()).filter(|&index| usable(index)) {
            let share = f64::from(self.weights[index]) * endpoints.warmth(index);
            sum += share;
            // Weighted reservoir sampling: each candidate is chosen with the probability share /
            // sum.
            if fastrand::f64() * sum < share {
                chosen = Some(index);
            }
        }
        chosen
    }

    fn draw(&self) -> usize {
        let total = self.sums.last().copied().unwrap_or(1).max(1);
        let point = fastrand::u32(..total);
        self.sums.partition_point(|&sum| sum <= point)
    }

    /// Whether one more request leaves an endpoint within 125 % of its share of all requests in
    /// flight (consistent hashing with bounded loads). A few requests always fit, for the sake of a
    /// warm cache.
    fn has_room(&self, endpoints: &impl Endpoints, index: usize) -> bool {
        const FEW_REQUESTS: u32 = 8;
        let own = endpoints.in_flight(index);
        if own < FEW_REQUESTS {
            return true;
        }
        let all: u64 = (0..self.weights.len())
            .map(|index| u64::from(endpoints.in_flight(index)))
            .sum();
        let total = self.sums.last().copied().unwrap_or(1).max(1);
        let share = f64::from(self.weights[index]) / f64::from(total);
        f64::from(own) < (1.25 * (all + 1) as f64 * share).ceil()
    }
}

/// How much faster an endpoint must be to count as faster; less is noise.
const CLEARLY: f64 = 2.0;

/// During slow start an endpoint accepts only a part of the draws that select it.
fn is_warm_enough(warmth: f64) -> bool {
    warmth >= 1.0 || fastrand::f64() < warmth
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
