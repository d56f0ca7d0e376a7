//! Rate limits.

use serde_json::Value;

use crate::{
    block::show::{Object, text, time, word},
    model::{ClientTls, RateLimit, RateLimitKey, Redis, Store},
    part::claim::written as claim_path,
    render::{provider, tls},
};

/// One entry of `rateLimits`.
pub(crate) fn rate_limit(limit: &RateLimit) -> (String, Value) {
    let block = Object::new()
        .with("requests", limit.requests)
        .with("per", time(limit.per))
        .with("burst", limit.burst)
        .with("key", key(&limit.key))
        .with("mode", word(limit.mode))
        .maybe("store", (limit.store == Store::Redis).then_some("redis"));
    (limit.name.to_string(), block.into())
}

/// The server.
pub(crate) fn redis(redis: &Redis) -> Value {
    let database = Some(redis.database).filter(|number| *number > 0);
    let database = database.map_or_else(String::new, |number| format!("/{number}"));
    let scheme = if redis.tls.is_some() { "rediss" } else { "redis" };
    let tls = redis.tls.as_deref().filter(|tls| **tls != ClientTls::default());
    Object::new()
        .with("url", text(&format!("{scheme}://{}{database}", redis.endpoint.authority)))
        .maybe("username", redis.username.as_deref().map(text))
        .maybe("password", redis.password.as_ref().map(|secret| provider::origin(secret.origin())))
        .maybe("tls", tls.map(tls::client))
        .with("timeout", time(redis.timeout))
        .with("onError", word(redis.on_error))
        .into()
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
