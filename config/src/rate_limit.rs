//! `rateLimits`: limits that routes refer to.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use serde_json::Value;

use crate::{
    block::{
        At, Either, Entries, Int, OneOrMany, Time, Word, block,
        field::{narrow, number, word},
        name,
        problem::Report,
        show::{self, Object, time},
        words,
    },
    part::{
        claim::{self, ClaimPath, written as claim_path},
        headers,
        words::Mode,
    },
};

block! {
    /// A rate limit: a token bucket for each key. Routes refer to it in `rateLimits`.
    RateLimitBlock {
        /// Requests that are refilled in `per`, 1 to 1000000.
        "requests" requests: Int<1, 1_000_000>,
        /// The refill period, 1ms to 24h.
        "per" per: Time,
        /// Size of the bucket, that is, requests at once, 1 to 1000000. Default: `requests`.
        "burst" burst: Int<1, 1_000_000>,
        /// The key that requests are counted by: `clientIP` (IPv6 by /64), `global` (one bucket for
        /// all requests), `subjectAltName` (the client certificate), a header or a claim.
        "key" key: Either<Word<PlainKey>, RateLimitKeyBlock>,
        /// `enforce`, or `report`: requests over the limit are forwarded, logged and counted.
        /// Default enforce.
        "mode" mode: Word<Mode>,
        /// `redis`: one limit for all pods, stored in the server of `redis`. Default: each pod
        /// counts separately.
        "store" store: Word<SharedStore>,
    }
    required ["requests", "per", "key"]
}

block! {
    /// Each value has its own bucket; requests without a value share one bucket.
    RateLimitKeyBlock {
        /// The name of a header.
        "header" header: String,
        /// A claim of the verified token, written as in `claimHeaders`.
        "claim" claim: OneOrMany<String>,
    }
    one_of ["header", "claim"]
}

/// The keys that need no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainKey {
    ClientAddress,
    Global,
    SubjectAltName,
}

/// Where buckets are stored, other than in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedStore {
    Redis,
}

words! {
    PlainKey { "clientIP" => ClientAddress, "global" => Global, "subjectAltName" => SubjectAltName }
    SharedStore { "redis" => Redis }
}

/// One entry of `rateLimits`: a token bucket for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Unique name.
    pub name: Arc<str>,
    /// Requests that are refilled in `per`, 1-1 000 000.
    pub requests: u32,
    /// The refill period, 1 ms to 1 day.
    pub per: Duration,
    /// Size of the bucket, 1-1 000 000 requests. Default `requests`.
    pub burst: u32,
    /// The key that requests are counted by.
    pub key: RateLimitKey,
    /// Whether a request over the limit is rejected or only counted.
    pub mode: Mode,
    /// Where the buckets are stored.
    pub store: Store,
}

/// Where the buckets of a limit are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In each pod separately. The default.
    Pod,
    /// In Redis, for all pods.
    Redis,
}

impl RateLimit {
    /// A limit whose burst equals `requests`; the other fields are public.
    pub fn new(name: Arc<str>, requests: u32, per: Duration, key: RateLimitKey) -> Self {
        Self {
            name,
            requests,
            per,
            burst: requests,
            key,
            mode: Mode::Enforce,
            store: Store::Pod,
        }
    }
}

/// The key that requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// One bucket for all requests.
    Global,
    /// The client address; IPv6 by /64, because one client has that many addresses.
    ClientAddress,
    /// The value of a header. Requests without it share one bucket, so that omitting it does not
    /// evade the limit.
    Header(HeaderName),
    /// The value of a verified claim of one issuer; requests without it share one bucket.
    Claim(ClaimPath),
    /// The first name of a client certificate, with SPIFFE IDs first; requests without a
    /// certificate share one bucket.
    SubjectAltName,
}

impl RateLimitKey {
    /// Whether the key is known only after authentication.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Claim(_) | Self::SubjectAltName)
    }
}

/// A slower refill is a quota rather than a rate, and a faster one limits nothing.
const PER: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(24 * 3600));

/// Validates all limits.
pub(crate) fn accept(
    written: Option<&At<Entries<RateLimitBlock>>>,
    has_redis: bool,
    report: &mut Report,
) -> Vec<RateLimit> {
    let entries = written.map_or(&[][..], |written| &written.value.0);
    entries
        .iter()
        .map(|(name, block)| {
            // Unlike other names these may have upper-case letters: no host name and no metric
            // label is derived from them.
            name::check(&name.value.to_ascii_lowercase(), &name.place, report);
            rate_limit(&name.value, &block.value, has_redis, report)
        })
        .collect()
}

fn rate_limit(
    name: &str,
    block: &RateLimitBlock,
    has_redis: bool,
    report: &mut Report,
) -> RateLimit {
    let requests = narrow(number(&block.requests, 1));
    let key = block
        .key
        .as_ref()
        .and_then(|written| key(written, report))
        .unwrap_or(RateLimitKey::Global);
    let mut limit = RateLimit::new(name.into(), requests, per(block.per.as_ref(), report), key);
    limit.burst = narrow(number(&block.burst, u64::from(requests)));
    limit.mode = word(&block.mode, Mode::Enforce);
    if let Some(At {
        value: Word(SharedStore::Redis),
        place,
    }) = &block.store
    {
        limit.store = Store::Redis;
        if !has_redis {
            let help = "add `redis: { url: … }`";
            report.error(place, "missing-key", "`redis` is not configured", help);
        }
    }
    limit
}

fn per(written: Option<&At<Time>>, report: &mut Report) -> Duration {
    let Some(At {
        value: Time(per),
        place,
    }) = written
    else {
        return PER.1;
    };
    if !(PER.0..=PER.1).contains(per) {
        let help = "write a time from 1ms to 24h";
        report.error(
            place,
            "out-of-range",
            "the period of a rate limit is out of range",
            help,
        );
    }
    *per
}

fn key(
    written: &At<Either<Word<PlainKey>, RateLimitKeyBlock>>,
    report: &mut Report,
) -> Option<RateLimitKey> {
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
    if let Some(help) = headers::why_not_for_the_app(&name) {
        let message = format!("`{name}` cannot be a key, because it is not set by the client");
        report.error(&header.place, "forbidden-header", message, help);
    }
    Some(RateLimitKey::Header(name))
}

/// One entry of `rateLimits`.
pub(crate) fn show(limit: &RateLimit) -> (String, Value) {
    let block = Object::new()
        .with("requests", limit.requests)
        .with("per", time(limit.per))
        .with("burst", limit.burst)
        .with("key", show_key(&limit.key))
        .with("mode", show::word(limit.mode))
        .maybe("store", (limit.store == Store::Redis).then_some("redis"));
    (limit.name.to_string(), block.into())
}

fn show_key(key: &RateLimitKey) -> Value {
    match key {
        RateLimitKey::Global => "global".into(),
        RateLimitKey::ClientAddress => "clientIP".into(),
        RateLimitKey::SubjectAltName => "subjectAltName".into(),
        RateLimitKey::Header(name) => Object::new().with("header", name.as_str()).into(),
        RateLimitKey::Claim(claim) => Object::new().with("claim", claim_path(claim)).into(),
    }
}
