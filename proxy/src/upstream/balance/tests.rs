use super::*;

struct Fake {
    available: Vec<bool>,
    tried: Vec<usize>,
    in_flight: Vec<u32>,
}

impl Endpoints for Fake {
    fn is_available(&self, index: usize) -> bool {
        self.available[index]
    }
    fn was_tried(&self, index: usize) -> bool {
        self.tried.contains(&index)
    }
    fn in_flight(&self, index: usize) -> u32 {
        self.in_flight[index]
    }
}

fn idle(count: usize) -> Fake {
    Fake { available: vec![true; count], tried: Vec::new(), in_flight: vec![0; count] }
}

fn shares(balancer: &Balancer, endpoints: &Fake, rounds: usize) -> Vec<f64> {
    let mut hits = vec![0_usize; endpoints.available.len()];
    for _ in 0..rounds {
        hits[balancer.choose(endpoints).unwrap()] += 1;
    }
    hits.iter().map(|&n| n as f64 / rounds as f64).collect()
}

#[test]
fn every_policy_keeps_weights_3_1_1_within_two_percent() {
    for policy in
        [LoadBalancerPolicy::RoundRobin, LoadBalancerPolicy::Random, LoadBalancerPolicy::LeastRequest]
    {
        let balancer = Balancer::new(policy, [3, 1, 1].into_iter());
        let shares = shares(&balancer, &idle(3), 100_000);
        for (share, expected) in shares.iter().zip([0.6, 0.2, 0.2]) {
            assert!((share - expected).abs() < 0.02, "{policy:?}: {shares:?}");
        }
    }
}

#[test]
fn round_robin_spreads_turns_instead_of_bunching_them() {
    assert_eq!(smooth_round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(smooth_round(&[2, 2]), [0, 1]);
    assert!(smooth_round(&[1000, 999, 997, 991, 983]).len() <= MAX_TURNS as usize + 5);
}

#[test]
fn least_request_turns_away_from_a_busy_endpoint() {
    let balancer = Balancer::new(LoadBalancerPolicy::LeastRequest, [1, 1].into_iter());
    let endpoints = Fake { in_flight: vec![50, 0], ..idle(2) };
    assert_eq!(shares(&balancer, &endpoints, 1000), [0.0, 1.0]);
}

#[test]
fn an_endpoint_without_address_is_never_chosen_and_none_is_none() {
    for policy in
        [LoadBalancerPolicy::RoundRobin, LoadBalancerPolicy::Random, LoadBalancerPolicy::LeastRequest]
    {
        let balancer = Balancer::new(policy, [100, 1, 1].into_iter());
        let mut endpoints = idle(3);
        endpoints.available = vec![false, false, true];
        assert_eq!(shares(&balancer, &endpoints, 100), [0.0, 0.0, 1.0]);
        endpoints.available = vec![false; 3];
        assert_eq!(balancer.choose(&endpoints), None);
    }
}

#[test]
fn a_repeat_goes_to_another_endpoint_first_and_to_the_same_when_it_is_the_only_one() {
    let balancer = Balancer::new(LoadBalancerPolicy::RoundRobin, [1, 1].into_iter());
    for _ in 0..10 {
        assert_eq!(balancer.choose(&Fake { tried: vec![0], ..idle(2) }), Some(1));
    }
    let endpoints = Fake { available: vec![true, false], tried: vec![0], ..idle(2) };
    assert_eq!(balancer.choose(&endpoints), Some(0));
    assert!(balancer.choose(&Fake { tried: vec![0, 1], ..idle(2) }).is_some(), "all were tried: begin anew");
}
