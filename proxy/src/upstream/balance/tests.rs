use outrigger_config::model::LoadBalancerPolicy::{
    ConsistentHash, LeastRequest, PeakEwma, Random, RoundRobin,
};

use super::*;

const ALL: [LoadBalancerPolicy; 5] = [RoundRobin, Random, LeastRequest, PeakEwma, ConsistentHash];

#[derive(Clone, Default)]
struct Fake {
    available: Vec<bool>,
    tried: Vec<usize>,
    in_flight: Vec<u32>,
    failing: Vec<usize>,
    warmth: Vec<f64>,
    key: Option<u64>,
}

impl Endpoints for Fake {
    fn is_available(&self, index: usize) -> bool {
        self.available[index]
    }
    fn is_first_attempt(&self) -> bool {
        self.tried.is_empty()
    }
    fn was_attempted(&self, index: usize) -> bool {
        self.tried.contains(&index)
    }
    fn in_flight(&self, index: usize) -> u32 {
        self.in_flight[index]
    }
    fn is_failing(&self, index: usize) -> bool {
        self.failing.contains(&index)
    }
    fn latency(&self, _: usize) -> Option<f64> {
        Some(1_000.0)
    }
    fn warmth(&self, index: usize) -> f64 {
        self.warmth[index]
    }
    fn key(&self) -> Option<u64> {
        self.key
    }
}

fn idle(count: usize) -> Fake {
    Fake {
        available: vec![true; count],
        in_flight: vec![0; count],
        warmth: vec![1.0; count],
        ..Fake::default()
    }
}

fn balancer<const N: usize>(policy: LoadBalancerPolicy, weights: [u32; N]) -> Balancer {
    let names = (0..N)
        .map(|number| format!("10.0.0.{number}:80"))
        .collect::<Vec<_>>();
    Balancer::new(policy, names.iter().map(|name| &**name).zip(weights))
}

fn shares(balancer: &Balancer, endpoints: &Fake, rounds: usize) -> Vec<f64> {
    fastrand::seed(3);
    let mut hits = vec![0_usize; endpoints.available.len()];
    for _ in 0..rounds {
        hits[balancer.choose(endpoints).unwrap()] += 1;
    }
    hits.iter().map(|&n| n as f64 / rounds as f64).collect()
}

fn assert_near(shares: &[f64], expected: &[f64], what: impl std::fmt::Debug) {
    assert!(
        shares
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 0.02),
        "{what:?}: {shares:?}"
    );
}

#[test]
fn every_policy_keeps_weights_3_1_1_within_two_percent() {
    for policy in ALL {
        assert_near(
            &shares(&balancer(policy, [3, 1, 1]), &idle(3), 100_000),
            &[0.6, 0.2, 0.2],
            policy,
        );
    }
}

#[test]
fn what_is_left_of_one_that_is_out_goes_to_the_others_by_weight() {
    for policy in ALL {
        let mut endpoints = idle(3);
        endpoints.available[0] = false;
        let shares = shares(&balancer(policy, [10, 2, 1]), &endpoints, 100_000);
        assert_near(&shares, &[0.0, 2.0 / 3.0, 1.0 / 3.0], policy);
    }
}

#[test]
fn a_busy_endpoint_is_avoided_and_one_that_fails_is_never_better() {
    for policy in [LeastRequest, PeakEwma] {
        let balancer = balancer(policy, [1, 1]);
        let endpoints = Fake {
            in_flight: vec![50, 0],
            ..idle(2)
        };
        assert_eq!(shares(&balancer, &endpoints, 1000), [0.0, 1.0]);
        let endpoints = Fake {
            failing: vec![1],
            ..endpoints
        };
        assert_near(&shares(&balancer, &endpoints, 100_000), &[0.5, 0.5], policy);
        let endpoints = Fake {
            in_flight: vec![0, 50],
            ..endpoints
        };
        assert_eq!(
            shares(&balancer, &endpoints, 1000),
            [1.0, 0.0],
            "and busy it is worse"
        );
    }
}

#[test]
fn one_that_is_new_takes_a_part_of_its_share() {
    for policy in [RoundRobin, Random, LeastRequest, PeakEwma] {
        let endpoints = Fake {
            warmth: vec![1.0, 0.1],
            ..idle(2)
        };
        let expected = [1.0 / 1.1, 0.1 / 1.1];
        assert_near(
            &shares(&balancer(policy, [1, 1]), &endpoints, 100_000),
            &expected,
            policy,
        );
        let all_new = Fake {
            warmth: vec![0.1, 0.1],
            ..endpoints
        };
        assert_near(
            &shares(&balancer(policy, [1, 1]), &all_new, 100_000),
            &[0.5, 0.5],
            policy,
        );
        let alone = Fake {
            available: vec![false, true],
            ..all_new
        };
        assert_eq!(shares(&balancer(policy, [1, 1]), &alone, 100), [0.0, 1.0]);
    }
}

#[test]
fn an_endpoint_without_address_is_never_chosen_and_none_is_none() {
    for policy in ALL {
        for key in [None, Some(7)] {
            let balancer = balancer(policy, [100, 1, 1]);
            let mut endpoints = Fake { key, ..idle(3) };
            endpoints.available = vec![false, false, true];
            assert_eq!(shares(&balancer, &endpoints, 100), [0.0, 0.0, 1.0]);
            endpoints.available = vec![false; 3];
            assert_eq!(balancer.choose(&endpoints), None);
        }
    }
}

#[test]
fn a_repeat_goes_to_another_endpoint_first_and_to_the_same_when_it_is_the_only_one() {
    for policy in ALL {
        let balancer = balancer(policy, [1, 1]);
        let two = Fake {
            key: Some(1 << 60),
            ..idle(2)
        };
        for _ in 0..10 {
            assert_eq!(
                balancer.choose(&Fake {
                    tried: vec![0],
                    ..two.clone()
                }),
                Some(1)
            );
        }
        let endpoints = Fake {
            available: vec![true, false],
            tried: vec![0],
            ..two.clone()
        };
        assert_eq!(balancer.choose(&endpoints), Some(0));
        assert!(
            balancer
                .choose(&Fake {
                    tried: vec![0, 1],
                    ..two
                })
                .is_some(),
            "all were tried: begin anew"
        );
    }
}

#[test]
fn a_key_stays_where_it_is_until_its_endpoint_has_more_than_its_share_and_a_quarter() {
    let balancer = balancer(ConsistentHash, [1, 1, 1, 1]);
    let mut endpoints = Fake {
        key: Some(42 << 50),
        ..idle(4)
    };
    let home = balancer.choose(&endpoints).unwrap();
    for _ in 0..1000 {
        let index = balancer.choose(&endpoints).unwrap();
        endpoints.in_flight[index] += 1;
    }
    assert!(
        endpoints.in_flight.iter().all(|busy| *busy <= 314),
        "1000 / 4 and a quarter: {endpoints:?}",
        endpoints = endpoints.in_flight
    );
    assert!(
        endpoints.in_flight[home] >= 312,
        "its own place is full first: {:?}",
        endpoints.in_flight
    );
    let few = Fake {
        in_flight: vec![7, 0, 0, 0],
        ..endpoints
    };
    for home in 0..4 {
        let few = Fake {
            in_flight: (0..4)
                .map(|index| if index == home { 7 } else { 0 })
                .collect(),
            ..few.clone()
        };
        let alone = balancer.choose(&Fake {
            in_flight: vec![0; 4],
            ..few.clone()
        });
        assert_eq!(balancer.choose(&few), alone, "a handful may stay together");
    }
}

#[test]
fn another_try_takes_no_turn() {
    let balancer = balancer(RoundRobin, [1, 1]);
    let firsts: Vec<usize> = (0..10)
        .map(|_| {
            let first = balancer.choose(&idle(2)).unwrap();
            assert_eq!(
                balancer.choose(&Fake {
                    tried: vec![first],
                    ..idle(2)
                }),
                Some(1 - first)
            );
            first
        })
        .collect();
    assert_eq!(
        firsts.iter().filter(|first| **first == 0).count(),
        5,
        "{firsts:?}"
    );
}
