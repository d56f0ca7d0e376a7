//! `rateLimits`: the limits, and which of them hold for a route.

use std::time::Duration;

use crate::{
    block::{
        At, Either, Entries, Time, Word,
        field::{narrow, number, word},
        name,
        problem::Report,
    },
    listener::direction::Direction,
    model::{RateLimit, RateLimitKey, Store},
    part::{claim, headers, id::RateLimitId, words::Mode},
    route::{
        auth::{Asking, Auth},
        context::Context,
    },
    schema::{PlainKey, RateLimitBlock, RateLimitKeyBlock, SharedStore},
};

/// A bucket that fills more slowly is no limit of a rate, and one that fills faster needs none.
const PER: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(24 * 3600));

type Names = At<Vec<At<String>>>;

/// Checks all limits.
pub(crate) fn rate_limits(
    written: Option<&At<Entries<RateLimitBlock>>>,
    has_redis: bool,
    report: &mut Report,
) -> Vec<RateLimit> {
    let entries = written.map_or(&[][..], |written| &written.value.0);
    entries
        .iter()
        .map(|(name, block)| {
            // Unlike other names these may have capitals: no host name and no metric label is made of them.
            name::check(&name.value.to_ascii_lowercase(), &name.place, report);
            rate_limit(&name.value, &block.value, has_redis, report)
        })
        .collect()
}

fn rate_limit(name: &str, block: &RateLimitBlock, has_redis: bool, report: &mut Report) -> RateLimit {
    let requests = narrow(number(&block.requests, 1));
    let key = block.key.as_ref().and_then(|written| key(written, report)).unwrap_or(RateLimitKey::Global);
    let mut limit = RateLimit::new(name.into(), requests, per(block.per.as_ref(), report), key);
    limit.burst = narrow(number(&block.burst, u64::from(requests)));
    limit.mode = word(&block.mode, Mode::Enforce);
    if let Some(At { value: Word(SharedStore::Redis), place }) = &block.store {
        limit.store = Store::Redis;
        if !has_redis {
            let help = "add `redis: { url: … }`";
            report.error(place, "missing-key", "there is no `redis` in this file", help);
        }
    }
    limit
}

fn per(written: Option<&At<Time>>, report: &mut Report) -> Duration {
    let Some(At { value: Time(per), place }) = written else { return PER.1 };
    if !(PER.0..=PER.1).contains(per) {
        let help = "write a time from 1ms to 24h";
        report.error(place, "out-of-range", "the time of a rate limit is out of range", help);
    }
    *per
}

fn key(written: &At<Either<Word<PlainKey>, RateLimitKeyBlock>>, report: &mut Report) -> Option<RateLimitKey> {
    let block = match &written.value {
        Either::Short(Word(PlainKey::Global)) => return Some(RateLimitKey::Global),
        Either::Short(Word(PlainKey::ClientAddress)) => return Some(RateLimitKey::ClientAddress),
        Either::Short(Word(PlainKey::SubjectAltName)) => return Some(RateLimitKey::SubjectAltName),
        Either::Map(block) => block,
    };
    if let Some(claim) = &block.claim {
        return claim::path_value(claim, report).map(RateLimitKey::Claim);
    }
    let header = block.header.as_ref()?;
    let name = headers::parse_name(&header.value, &header.place, report)?;
    if let Some(help) = headers::not_the_apps(&name) {
        let message = format!("`{name}` is not the client's to say");
        report.error(&header.place, "forbidden-header", message, help);
    }
    Some(RateLimitKey::Header(name))
}

/// The limits of these names.
pub(crate) fn named(names: Option<&Names>, context: &Context<'_>, report: &mut Report) -> Vec<RateLimitId> {
    resolved(names, context, report).into_iter().map(|(id, _)| id).collect()
}

fn resolved<'a>(
    names: Option<&'a Names>,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<(RateLimitId, &'a At<String>)> {
    let names = names.map_or(&[][..], |names| &names.value);
    let mut found = Vec::with_capacity(names.len());
    for written in name::each_once(names, report) {
        match context.rate_limit_ids.get(written.value.as_str()) {
            Some(id) => found.push((RateLimitId(*id), written)),
            None => {
                let known = context.rate_limits.iter().map(|limit| &*limit.name);
                name::unresolved("rate limit", &written.value, &written.place, known, report);
            }
        }
    }
    found
}

/// What a route names itself: each must be able to count something.
pub(crate) fn own(names: &Names, auth: &Auth, asking: &Asking<'_>, report: &mut Report) -> Vec<RateLimitId> {
    let context = asking.context;
    let mut ids = Vec::new();
    for (id, written) in resolved(Some(names), context, report) {
        ids.push(id);
        let limit = &context.rate_limits[id.0 as usize];
        if let Some((message, help)) = never_counts(&limit.key, auth, asking) {
            let message = format!("`{}` counts by {message}", limit.name);
            report.error(&written.place, "never-matches", message, help);
        }
    }
    ids
}

/// What a route inherits: of inbound routes those that can count something there.
pub(crate) fn inherited(
    names: Option<&Names>,
    auth: &Auth,
    asking: &Asking<'_>,
    report: &mut Report,
) -> Vec<RateLimitId> {
    let names = names.filter(|_| asking.direction == Direction::Inbound);
    let mut ids = named(names, asking.context, report);
    ids.retain(|id| never_counts(&asking.context.rate_limits[id.0 as usize].key, auth, asking).is_none());
    ids
}

/// Why no request of a route can have a key: what it counts by, and what to do.
fn never_counts(key: &RateLimitKey, auth: &Auth, asking: &Asking<'_>) -> Option<(String, &'static str)> {
    match key {
        RateLimitKey::Claim(_) if auth.requirement.providers().next().is_none() => Some((
            "a claim, and this route takes no token".to_owned(),
            "name a token provider in `auth` of the route, or take the limit away",
        )),
        RateLimitKey::SubjectAltName if !asking.may_have_certificate() => Some((
            "the client's certificate, and no listener of this route asks for one".to_owned(),
            "add `tls.clientAuth` to the listener, or take the limit away",
        )),
        RateLimitKey::Header(name) if asking.direction == Direction::Inbound => {
            let mut carried = asking.context.providers.iter().flat_map(|provider| &provider.claim_headers);
            carried.any(|header| header.name == *name).then(|| {
                let message = format!("`{name}` of `claimHeaders`, which is taken away from every client");
                (message, "count by the claim: `key: { claim: … }`")
            })
        }
        _ => None,
    }
}
