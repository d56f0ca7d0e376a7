//! `loadBalancer` of an upstream: how an endpoint is selected.

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
    /// How an endpoint is selected.
    LoadBalancerBlock {
        /// `leastRequest` (weighted round robin, unless a second, random endpoint has fewer
        /// requests in flight), `peakEwma` (the same by response time and load), `roundRobin`,
        /// `random`, or `consistentHash` (the same endpoint for the same hash key, unless it has
        /// more than its share). Default leastRequest.
        "policy" policy: Word<LoadBalancerPolicy>,
        /// The hash key of `consistentHash`: `clientIP`, or a header or cookie. Requests without it
        /// get any endpoint. Required with that policy.
        "hashOn" hash_on: Either<Word<ClientIp>, HashOnBlock>,
        /// Duration in which a new endpoint, or one that returns from an ejection, gets less than
        /// its share, starting with 10 %. Not with consistentHash. Default 0s, which is off.
        "slowStart" slow_start: Time,
        /// When a smaller percentage of the endpoints is healthy, requests go to all of them,
        /// because the remaining ones would be overloaded. 0 to 100. Default 50; 0 disables it.
        "panicPercent" panic_percent: Int<0, 100>,
    }
}

/// How an endpoint is selected, and when all are used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// The policy.
    pub policy: LoadBalancerPolicy,
    /// The hash key of `consistentHash`; present only with that policy.
    pub hash_on: Option<HashOn>,
    /// Duration in which a new or returning endpoint gets less than its share. Off by default.
    pub slow_start: Option<Duration>,
    /// When a smaller percentage of the endpoints is healthy, all are used. Default 50; 0 disables
    /// it.
    pub panic_percent: u8,
}

/// How an endpoint is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadBalancerPolicy {
    /// Weighted round robin.
    RoundRobin,
    /// Weighted round robin, unless a second, random endpoint has fewer requests in flight. The
    /// default.
    LeastRequest,
    /// The same by response time and requests in flight.
    PeakEwma,
    /// At random, by weight.
    Random,
    /// The same endpoint for the same hash key.
    ConsistentHash,
}

words! {
    LoadBalancerPolicy {
        "leastRequest" => LeastRequest, "peakEwma" => PeakEwma, "roundRobin" => RoundRobin, "random" => Random,
        "consistentHash" => ConsistentHash,
    }
}

/// Envoy's default: when half of the endpoints are gone, the others get about twice their load.
const PANIC_PERCENT: u64 = 50;

/// The load balancer of an upstream without the block.
pub(crate) fn least_request() -> LoadBalancer {
    LoadBalancer {
        policy: LoadBalancerPolicy::LeastRequest,
        hash_on: None,
        slow_start: None,
        panic_percent: narrow(PANIC_PERCENT),
    }
}

/// Validates the block and applies its defaults.
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
                "consistentHash requires `hashOn`",
                help,
            );
        }
        (Some(on), _) if !hashes => {
            let help = "write `policy: consistentHash`, or remove `hashOn`";
            report.error(
                &on.place,
                "conflicting-keys",
                "`hashOn` has no effect without consistentHash",
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
        let message = "`slowStart` cannot be used with consistentHash, which assigns fixed keys to an endpoint";
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

/// Renders the accepted value.
pub(crate) fn show(balancer: &LoadBalancer) -> Object {
    Object::new()
        .with("policy", show::word(balancer.policy))
        .maybe("hashOn", balancer.hash_on.as_ref().map(hash_on::show))
        .maybe("slowStart", balancer.slow_start.map(time))
        .with("panicPercent", balancer.panic_percent)
}
