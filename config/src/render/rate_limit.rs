//! Rate limits.

use serde_json::Value;

use super::value::{Object, time, word};
use crate::{
    model::{RateLimit, RateLimitKey},
    validate::claim_path,
};

/// One entry of `rateLimits`.
pub(super) fn rate_limit(limit: &RateLimit) -> (String, Value) {
    let block = Object::new()
        .with("requests", limit.requests)
        .with("per", time(limit.per))
        .with("burst", limit.burst)
        .with("key", key(&limit.key))
        .with("mode", word(limit.mode));
    (limit.name.to_string(), block.into())
}

fn key(key: &RateLimitKey) -> Value {
    match key {
        RateLimitKey::Global => "global".into(),
        RateLimitKey::ClientAddress => "clientIP".into(),
        RateLimitKey::SubjectAltName => "subjectAltName".into(),
        RateLimitKey::Header(name) => Object::new().with("header", name.as_str()).into(),
        RateLimitKey::Claim(claim) => Object::new().with("claim", claim_path(claim)).into(),
    }
}
