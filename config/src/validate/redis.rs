//! `redis`: the server of limits that all pods share.

use super::{
    defaults, url,
    value::{time_over_zero, word},
};
use crate::{
    model::{EndpointSpec, OnError, Redis},
    problem::Report,
    schema::{At, RedisBlock},
};

/// How such a URL is written.
const FORM: &str = "redis://host:6379";

/// Checks the server. `None` was reported.
pub(super) fn redis(block: &At<RedisBlock>, report: &mut Report) -> Option<Redis> {
    let block = &block.value;
    let timeout = time_over_zero(&block.timeout, defaults::REDIS_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Allow);
    let (endpoint, database) = server(block.url.as_ref()?, report)?;
    Some(Redis { endpoint, database, timeout, on_error })
}

fn server(written: &At<String>, report: &mut Report) -> Option<(EndpointSpec, u16)> {
    let (text, place) = (&written.value, &written.place);
    if text.contains('@') {
        report.hide(place.span);
        let message =
            "a password in a URL would show in every dump, and no other is supported by this version";
        report.error(place, "bad-url", message, "remove everything up to `@`");
        return None;
    }
    if text.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rediss://")) {
        let help = "write redis:// to a server that only pods reach, or to a TLS proxy of your own";
        report.error(place, "not-supported", "TLS to redis is not supported by this version", help);
        return None;
    }
    let parsed = match url::parse_with(text, &[("redis", 6379)]) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(text, FORM, place, report);
            return None;
        }
    };
    let Some(database) = database(parsed.tail) else {
        let message = format!("{text:?} does not name a database");
        report.error(place, "bad-url", message, format!("write {FORM}, or {FORM}/1 for another database"));
        return None;
    };
    let endpoint = EndpointSpec { address: parsed.address, authority: parsed.authority.into(), weight: 1 };
    Some((endpoint, database))
}

/// What may stand behind the host: nothing, or a number.
fn database(tail: &str) -> Option<u16> {
    match tail.strip_prefix('/').unwrap_or(tail) {
        "" => Some(0),
        number if tail.starts_with('/') && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok()
        }
        _ => None,
    }
}
