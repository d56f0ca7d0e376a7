//! `loadBalancer` of an upstream: how an endpoint is chosen.

use std::time::Duration;

use crate::{
    block::{
        At, Either, Int, Time, Word, block,
        field::{narrow, number, time_or_off, word},
        problem::Report,
        show::{self, Object, time},
        words,
    },
    part::{
        hash_on::{self, HashOn, HashOnBlock},
        words::ClientIp,
    },
};

block! {
    /// How an endpoint is chosen.
    LoadBalancerBlock {
        /// `leastRequest` (whose turn it is by weight, unless one drawn beside it is less busy), `peakEwma` (the same by time and load), `roundRobin`, `random`, or `consistentHash` (the same endpoint for requests that are alike, while it has no more than its share). Default leastRequest.
        "policy" policy: Word<LoadBalancerPolicy>,
        /// What `consistentHash` goes by: `clientIP`, or a header or cookie. Requests without it go anywhere. Required with that policy.
        "hashOn" hash_on: Either<Word<ClientIp>, HashOnBlock>,
        /// For how long an endpoint that came later, or is back again, takes less than its share, from a tenth on. Not with consistentHash. Default 0s, which is off.
        "slowStart" slow_start: Time,
        /// When fewer endpoints than this share are well, all are used: those that are left would fail next. 0 to 100. Default 50; 0 never.
        "panicPercent" panic_percent: Int<0, 100>,
    }
}

/// How an endpoint is chosen, and when choosing ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// By what.
    pub policy: LoadBalancerPolicy,
    /// What `consistentHash` hashes; there with that policy alone.
    pub hash_on: Option<HashOn>,
    /// For how long an endpoint that is new, or back again, takes less than its share. Off by default.
    pub slow_start: Option<Duration>,
    /// When fewer of 100 endpoints than this are well, all are used. Default 50; 0 never.
    pub panic_percent: u8,
}

/// By what an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadBalancerPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// Whose turn it is by weight, unless one that is drawn beside it is less busy. The default.
    LeastRequest,
    /// The same by how long answers take and how many are awaited.
    PeakEwma,
    /// At random, by weight.
    Random,
    /// The same for requests that are alike.
    ConsistentHash,
}

words! {
    LoadBalancerPolicy {
        "leastRequest" => LeastRequest, "peakEwma" => PeakEwma, "roundRobin" => RoundRobin, "random" => Random,
        "consistentHash" => ConsistentHash,
    }
}

/// Envoy's default: with half of the endpoints gone the others hardly carry twice their load.
const PANIC_PERCENT: u64 = 50;

/// The choice of an upstream that has no block.
pub(crate) fn least_request() -> LoadBalancer {
    LoadBalancer {
        policy: LoadBalancerPolicy::LeastRequest,
        hash_on: None,
        slow_start: None,
        panic_percent: narrow(PANIC_PERCENT),
    }
}

/// The choice, with its defaults.
pub(crate) fn accept(block: Option<&At<LoadBalancerBlock>>, report: &mut Report) -> LoadBalancer {
    let none = LoadBalancerBlock::default();
    let written = block.map_or(&none, |block| &block.value);
    let policy = word(&written.policy, LoadBalancerPolicy::LeastRequest);
    let hashes = policy == LoadBalancerPolicy::ConsistentHash;
    match (&written.hash_on, &written.policy) {
        (None, Some(policy)) if hashes => {
            let help =
                "add `hashOn: { header: x-tenant }`, `{ cookie: NAME }` or `hashOn: clientIP`";
            report.missing(
                &policy.place,
                &["hashOn"],
                "consistentHash needs `hashOn`",
                help,
            );
        }
        (Some(on), _) if !hashes => {
            let help = "write `policy: consistentHash`, or remove `hashOn`";
            report.error(
                &on.place,
                "conflicting-keys",
                "only consistentHash hashes",
                help,
            );
        }
        _ => {}
    }
    let slow_start = time_or_off(&written.slow_start, None);
    if let Some(slow) = written
        .slow_start
        .as_ref()
        .filter(|_| hashes && slow_start.is_some())
    {
        let message =
            "with consistentHash an endpoint has its keys or not, so it cannot start slowly";
        report.error(
            &slow.place,
            "conflicting-keys",
            message,
            "remove `slowStart`",
        );
    }
    LoadBalancer {
        policy,
        hash_on: written
            .hash_on
            .as_ref()
            .and_then(|on| hash_on::accept(&on.value, report)),
        slow_start,
        panic_percent: narrow(number(&written.panic_percent, PANIC_PERCENT)),
    }
}

/// Shows what was accepted.
pub(crate) fn show(balancer: &LoadBalancer) -> Object {
    Object::new()
        .with("policy", show::word(balancer.policy))
        .maybe("hashOn", balancer.hash_on.as_ref().map(hash_on::show))
        .maybe("slowStart", balancer.slow_start.map(time))
        .with("panicPercent", balancer.panic_percent)
}
