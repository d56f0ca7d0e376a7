//! Chooses an endpoint. Synchronous and total: indices in, an index out; what is known of endpoints and of the request is
//! told by a trait.
//!
//! Weights hold while nothing else speaks against them: turns and draws follow them, a comparison leaves the endpoint
//! whose turn it is only for one that is clearly better, and that one gives its own next turn for it. An endpoint that fails fast has few requests in flight and short times, so what it
//! lacks in load never counts for it ([`failures`]).

pub(crate) mod failures;
pub(crate) mod latency;
mod rendezvous;
mod turns;

use outrigger_config::model::LoadBalancerPolicy;

use self::{rendezvous::Table, turns::Turns};

/// The choice among the endpoints of one upstream.
pub(crate) struct Balancer {
    policy: Policy,
    weights: Vec<u32>,
    /// Running sums of the weights, for draws by weight.
    sums: Vec<u32>,
}

enum Policy {
    RoundRobin(Turns),
    Random,
    LeastRequest(Turns),
    PeakEwma(Turns),
    ConsistentHash(Table),
}

/// What the balancer asks about endpoints, and about the request that is to be sent.
pub(crate) trait Endpoints {
    /// Whether a request may be sent to it.
    fn is_available(&self, index: usize) -> bool;
    /// Whether the request is sent for the first time.
    fn is_first_try(&self) -> bool;
    /// Whether this request was sent to it before.
    fn was_tried(&self, index: usize) -> bool;
    /// Requests in flight.
    fn in_flight(&self, index: usize) -> u32;
    /// Whether a good part of its last answers were failures.
    fn is_failing(&self, index: usize) -> bool;
    /// How long its answers take, in microseconds; `None` while nobody knows. Asked by `peakEwma`.
    fn latency(&self, index: usize) -> Option<f64>;
    /// Its share of its weight, from over 0 to 1, while it is new.
    fn warmth(&self, index: usize) -> f64;
    /// What the request hashes to. Asked by `consistentHash`.
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

    /// The endpoint for the next try, one that was not tried yet where there is one.
    pub(crate) fn choose(&self, endpoints: &impl Endpoints) -> Option<usize> {
        match self.weights.len() {
            0 => return None, // a name that was never looked up
            1 => return endpoints.is_available(0).then_some(0),
            _ => {}
        }
        let untried = |index: usize| !endpoints.was_tried(index) && endpoints.is_available(index);
        self.choose_from(endpoints, &untried)
            .or_else(|| self.choose_from(endpoints, &|index| endpoints.is_available(index)))
    }

    fn choose_from(
        &self,
        endpoints: &impl Endpoints,
        usable: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match &self.policy {
            Policy::RoundRobin(turns) if endpoints.is_first_try() => {
                turns.next(usable, |index| endpoints.warmth(index))
            }
            // Another try takes no turn: with two endpoints of which one fails, every request would begin there.
            Policy::RoundRobin(_) | Policy::Random => self.draw_usable(endpoints, usable),
            Policy::LeastRequest(turns) => {
                self.better_of_two(turns, endpoints, usable, |_| Some(1.0))
            }
            Policy::PeakEwma(turns) => {
                self.better_of_two(turns, endpoints, usable, |index| endpoints.latency(index))
            }
            // Without a key nothing has to stay where it was.
            Policy::ConsistentHash(table) => match endpoints.key() {
                Some(key) => table.find(key, usable, |index| self.has_room(endpoints, index)),
                None => self.draw_usable(endpoints, usable),
            },
        }
    }

    /// The one whose turn it is, unless one that is drawn beside it is better (the power of two choices).
    fn better_of_two(
        &self,
        turns: &Turns,
        endpoints: &impl Endpoints,
        usable: &impl Fn(usize) -> bool,
        cost: impl Fn(usize) -> Option<f64>,
    ) -> Option<usize> {
        let first = endpoints.is_first_try();
        let one = match first {
            true => turns.next(usable, |index| endpoints.warmth(index))?,
            false => self.draw_usable(endpoints, usable)?,
        };
        let Some(two) = self.draw_usable(endpoints, &|index| index != one && usable(index)) else {
            return Some(one);
        };
        // Nothing that one which fails lacks in load makes it better.
        if endpoints.is_failing(two) || !self.is_better(two, one, endpoints, cost) {
            return Some(one);
        }
        if first {
            turns.lend(one, two);
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
            // Somebody has to find out, and one is enough.
            (one_cost, None) if endpoints.in_flight(two) == 0 && one_cost.is_some() => return true,
            (_, None) => return false,
            (None, _) => return endpoints.in_flight(one) > 0,
        };
        let (one_busy, two_busy) = (
            f64::from(endpoints.in_flight(one)),
            f64::from(endpoints.in_flight(two)),
        );
        // Turns follow the weights already. While neither has a whole request more than its share, and they are about
        // as fast, nothing else is needed; to compare them by weight as well would count the weights twice.
        let more = (one_busy / one_share - two_busy / two_share).abs() * one_share.min(two_share);
        if more < 1.0 && one_cost <= two_cost * CLEARLY && two_cost <= one_cost * CLEARLY {
            return false;
        }
        // The request that is about to be added counts.
        let load = |cost: f64, busy: f64, share: f64| cost * (busy + 1.0) / share;
        load(two_cost, two_busy, two_share) < load(one_cost, one_busy, one_share)
    }

    /// A draw by weight. After a few misses one pass over all, so that a usable one is always found.
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

    /// Whether one more request leaves an endpoint within its share of all that are in flight, and a quarter more
    /// (consistent hashing with bounded loads). A handful always has room: where it belongs it finds a warm cache.
    fn has_room(&self, endpoints: &impl Endpoints, index: usize) -> bool {
        const HANDFUL: u32 = 8;
        let mine = endpoints.in_flight(index);
        if mine < HANDFUL {
            return true;
        }
        let all: u64 = (0..self.weights.len())
            .map(|index| u64::from(endpoints.in_flight(index)))
            .sum();
        let total = self.sums.last().copied().unwrap_or(1).max(1);
        let share = f64::from(self.weights[index]) / f64::from(total);
        f64::from(mine) < (1.25 * (all + 1) as f64 * share).ceil()
    }
}

/// How much faster one of two is before that counts: less is chance.
const CLEARLY: f64 = 2.0;

/// An endpoint that is new takes only a share of the draws that fall on it.
fn is_warm_enough(warmth: f64) -> bool {
    warmth >= 1.0 || fastrand::f64() < warmth
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
