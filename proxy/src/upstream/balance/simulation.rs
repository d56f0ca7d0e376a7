//! Simulates the policies over time: arrivals, service times and completions on a simulated clock
//! with a fixed seed.

use std::{cell::Cell, cmp::Reverse, collections::BinaryHeap};

use outrigger_config::model::LoadBalancerPolicy::{
    self, LeastRequest, PeakEwma, Random, RoundRobin,
};

use super::{Balancer, Endpoints, failures::Failures, latency::Latency};

/// How an endpoint behaves; times are microseconds.
#[derive(Clone, Copy)]
enum Server {
    /// All requests in parallel, with this mean time (exponentially distributed).
    Parallel(f64),
    /// All requests in parallel, each in this time.
    Even(u64),
    /// One request at a time, each in this time.
    OneByOne(u64),
    /// Fails each request after this time.
    Fails(u64),
}

struct Stats {
    in_flight: Cell<u32>,
    failures: Failures,
    latency: Latency,
}

struct World {
    endpoints: Vec<Stats>,
    now: Cell<u64>,
}

impl Endpoints for World {
    fn is_available(&self, _: usize) -> bool {
        true
    }
    fn is_first_attempt(&self) -> bool {
        true
    }
    fn was_attempted(&self, _: usize) -> bool {
        false
    }
    fn in_flight(&self, index: usize) -> u32 {
        self.endpoints[index].in_flight.get()
    }
    fn is_failing(&self, index: usize) -> bool {
        self.endpoints[index].failures.is_failing()
    }
    fn latency(&self, index: usize) -> Option<f64> {
        self.endpoints[index].latency.estimate(self.now.get())
    }
    fn warmth(&self, _: usize) -> f64 {
        1.0
    }
    fn key(&self) -> Option<u64> {
        None
    }
}

struct Outcome {
    hits: Vec<u64>,
    /// Times of all responses, in order.
    times: Vec<u64>,
}

impl Outcome {
    fn share(&self, index: usize) -> f64 {
        self.hits[index] as f64 / self.hits.iter().sum::<u64>() as f64
    }

    fn p99(&self) -> u64 {
        self.times[self.times.len() * 99 / 100]
    }
}

/// Sends `requests` at `rate` per second, with random arrivals.
fn run(
    policy: LoadBalancerPolicy,
    servers: &[(u32, Server)],
    rate: f64,
    requests: usize,
) -> Outcome {
    fastrand::seed(11);
    let exponential = |mean: f64| (-mean * (1.0 - fastrand::f64()).ln()) as u64;
    let names: Vec<String> = (0..servers.len())
        .map(|number| format!("10.0.0.{number}:80"))
        .collect();
    let weights = servers.iter().map(|(weight, _)| *weight);
    let balancer = Balancer::new(policy, names.iter().map(|name| &**name).zip(weights));
    let stats = || Stats {
        in_flight: Cell::new(0),
        failures: Failures::default(),
        latency: Latency::default(),
    };
    let world = World {
        endpoints: servers.iter().map(|_| stats()).collect(),
        now: Cell::new(1_000_000),
    };
    let mut outcome = Outcome {
        hits: vec![0; servers.len()],
        times: Vec::new(),
    };
    let mut free_at = vec![0; servers.len()];
    let mut pending: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
    let finish = |world: &World, outcome: &mut Outcome, (end, begun, index): (u64, u64, usize)| {
        let stats = &world.endpoints[index];
        let failed = matches!(servers[index].1, Server::Fails(_));
        stats.in_flight.set(stats.in_flight.get() - 1);
        stats.failures.record(failed);
        match failed {
            true => stats.latency.record_failure(end - begun, end),
            false => stats.latency.record_response(end - begun, end),
        }
        outcome.times.push(end - begun);
    };
    for _ in 0..requests {
        let now = world.now.get() + exponential(1_000_000.0 / rate);
        while let Some(Reverse(next)) = pending.peek().copied().filter(|next| next.0.0 <= now) {
            pending.pop();
            finish(&world, &mut outcome, next);
        }
        world.now.set(now);
        let index = balancer.choose(&world).unwrap();
        outcome.hits[index] += 1;
        world.endpoints[index]
            .in_flight
            .set(world.endpoints[index].in_flight.get() + 1);
        let end = match servers[index].1 {
            Server::Parallel(mean) => now + exponential(mean),
            Server::Even(each) => now + each,
            Server::OneByOne(each) => {
                free_at[index] = now.max(free_at[index]) + each;
                free_at[index]
            }
            Server::Fails(each) => now + each,
        };
        pending.push(Reverse((end, now, index)));
    }
    while let Some(Reverse(next)) = pending.pop() {
        finish(&world, &mut outcome, next);
    }
    outcome.times.sort_unstable();
    outcome
}

#[test]
fn weights_hold_within_two_percent_at_any_load() {
    // Random times move the last policy too, since it compares times.
    for (policy, within) in [
        (RoundRobin, 0.02),
        (Random, 0.02),
        (LeastRequest, 0.02),
        (PeakEwma, 0.06),
    ] {
        for rate in [10.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 20_000.0] {
            for server in [Server::Parallel(5_000.0), Server::Even(5_000)] {
                let outcome = run(
                    policy,
                    &[(3, server), (1, server), (1, server)],
                    rate,
                    100_000,
                );
                for (index, expected) in [0.6, 0.2, 0.2].into_iter().enumerate() {
                    let share = outcome.share(index);
                    assert!(
                        (share - expected).abs() < within,
                        "{policy:?} at {rate}/s: {:?}",
                        outcome.hits
                    );
                }
            }
        }
    }
}

#[test]
fn with_one_slow_endpoint_least_request_and_peak_ewma_beat_round_robin_at_p99() {
    let servers = [
        (1, Server::OneByOne(5_000)),
        (1, Server::OneByOne(5_000)),
        (1, Server::OneByOne(50_000)),
    ];
    let p99 = |policy| run(policy, &servers, 150.0, 20_000).p99();
    let (round_robin, least_request, peak_ewma) =
        (p99(RoundRobin), p99(LeastRequest), p99(PeakEwma));
    assert!(
        least_request * 10 < round_robin,
        "{least_request}, {round_robin}"
    );
    assert!(peak_ewma * 10 < round_robin, "{peak_ewma}, {round_robin}");
}

#[test]
fn peak_ewma_leaves_a_slow_endpoint_that_is_never_busy() {
    // It has unlimited capacity, so that only its time differs.
    let servers = [
        (1, Server::Parallel(2_000.0)),
        (1, Server::Parallel(2_000.0)),
        (1, Server::Parallel(200_000.0)),
    ];
    let slow = |policy| run(policy, &servers, 100.0, 50_000).share(2);
    let (least_request, peak_ewma) = (slow(LeastRequest), slow(PeakEwma));
    assert!(
        peak_ewma < 0.02 && peak_ewma < least_request,
        "{peak_ewma}, {least_request}"
    );
}

#[test]
fn an_endpoint_that_fails_fast_gets_no_more_than_its_share() {
    for rate in [50.0, 1_000.0, 10_000.0] {
        let servers = [
            (1, Server::Parallel(10_000.0)),
            (1, Server::Parallel(10_000.0)),
            (1, Server::Fails(50)),
        ];
        for policy in [RoundRobin, Random, LeastRequest, PeakEwma] {
            let share = run(policy, &servers, rate, 50_000).share(2);
            assert!(share < 1.0 / 3.0 + 0.01, "{policy:?} at {rate}/s: {share}");
        }
    }
}
