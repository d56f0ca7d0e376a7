//! `loadBalancer` of an upstream.

use crate::{
    block::{
        At, Either, Word,
        field::{narrow, number, time_or_off, word},
        problem::Report,
    },
    model::{HashOn, LoadBalancer, LoadBalancerPolicy},
    part::{headers, words::ClientIp},
    schema::{HashOnBlock, LoadBalancerBlock},
    validate::{defaults, provider::is_token},
};

/// The choice of an upstream that has no block.
pub(crate) fn least_request() -> LoadBalancer {
    LoadBalancer {
        policy: LoadBalancerPolicy::LeastRequest,
        hash_on: None,
        slow_start: None,
        panic_percent: narrow(defaults::PANIC_PERCENT),
    }
}

/// The choice, with its defaults.
pub(crate) fn load_balancer(block: Option<&At<LoadBalancerBlock>>, report: &mut Report) -> LoadBalancer {
    let none = LoadBalancerBlock::default();
    let written = block.map_or(&none, |block| &block.value);
    let policy = word(&written.policy, LoadBalancerPolicy::LeastRequest);
    let hashes = policy == LoadBalancerPolicy::ConsistentHash;
    match (&written.hash_on, &written.policy) {
        (None, Some(policy)) if hashes => {
            let help = "add `hashOn: { header: x-tenant }`, `{ cookie: NAME }` or `hashOn: clientIP`";
            report.missing(&policy.place, &["hashOn"], "consistentHash needs `hashOn`", help);
        }
        (Some(on), _) if !hashes => {
            let help = "write `policy: consistentHash`, or remove `hashOn`";
            report.error(&on.place, "conflicting-keys", "only consistentHash hashes", help);
        }
        _ => {}
    }
    let slow_start = time_or_off(&written.slow_start, None);
    if let Some(slow) = written.slow_start.as_ref().filter(|_| hashes && slow_start.is_some()) {
        let message = "with consistentHash an endpoint has its keys or not, so it cannot start slowly";
        report.error(&slow.place, "conflicting-keys", message, "remove `slowStart`");
    }
    LoadBalancer {
        policy,
        hash_on: written.hash_on.as_ref().and_then(|on| hash_on(&on.value, report)),
        slow_start,
        panic_percent: narrow(number(&written.panic_percent, defaults::PANIC_PERCENT)),
    }
}

/// What a choice goes by. `None` was reported.
pub(crate) fn hash_on(written: &Either<Word<ClientIp>, HashOnBlock>, report: &mut Report) -> Option<HashOn> {
    let block = match written {
        Either::Short(_) => return Some(HashOn::ClientIp),
        Either::Map(block) => block,
    };
    if let Some(cookie) = &block.cookie {
        if !is_token(&cookie.value) {
            let message = format!("{:?} is not the name of a cookie", cookie.value);
            report.error(&cookie.place, "bad-value", message, "use letters, digits, `-` and `_`");
        }
        return Some(HashOn::Cookie(cookie.value.as_str().into()));
    }
    let written = block.header.as_ref()?;
    let name = headers::parse_name(&written.value, &written.place, report)?;
    let help = match name.as_str() {
        "cookie" => Some("write `cookie: NAME` with the name of the one cookie"),
        "host" => Some("use a header that clients send for this"),
        _ => headers::not_the_apps(&name),
    };
    if let Some(help) = help {
        let message = format!("`{name}` cannot be hashed");
        report.error(&written.place, "forbidden-header", message, help);
    }
    Some(HashOn::Header(name))
}
