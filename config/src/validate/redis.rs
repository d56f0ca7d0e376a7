//! `redis`: the server of limits that all pods share.

use std::sync::Arc;

use crate::{
    block::{
        At,
        field::{time_over_zero, word},
        problem::Report,
    },
    files::Files,
    model::Redis,
    part::{
        url::{self, EndpointSpec},
        words::OnError,
    },
    schema::RedisBlock,
    validate::{defaults, secret, tls},
};

/// How such a URL is written.
const FORM: &str = "redis://host:6379";

/// Checks the server. `None` was reported.
pub(crate) fn redis(block: &At<RedisBlock>, files: &mut Files<'_>, report: &mut Report) -> Option<Redis> {
    let block = &block.value;
    let timeout = time_over_zero(&block.timeout, defaults::REDIS_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Allow);
    let username = block.username.as_ref().and_then(|name| username(name, block, report));
    let password = block.password.as_ref().and_then(|written| secret::password(written, files, report));
    let (endpoint, secure, database) = server(block.url.as_ref()?, report)?;
    if let Some(written) = block.password.as_ref().filter(|_| !secure && !endpoint.address.is_here()) {
        let message = "the password goes over the network as it is, and whoever sits on the way can read it";
        report.warning(
            &written.place,
            "insecure-credentials",
            message,
            "write rediss:// where redis speaks TLS",
        );
    }
    let tls = tls::client::of_url(block.tls.as_ref(), secure, "rediss", files, report);
    Some(Redis { endpoint, tls, username, password, database, timeout, on_error })
}

fn username(written: &At<String>, block: &RedisBlock, report: &mut Report) -> Option<Arc<str>> {
    if block.password.is_none() {
        let help = "add `password: { file: … }`, or remove `username`";
        report.missing(&written.place, &["password"], "`password` is missing", help);
    }
    if written.value.is_empty() || written.value.contains(char::is_whitespace) {
        let message = format!("{:?} is no name of a user", written.value);
        report.error(&written.place, "bad-name", message, "write the name of a redis user, without spaces");
        return None;
    }
    Some(written.value.as_str().into())
}

/// Where it is, whether TLS is spoken to it, and the number of the database.
fn server(written: &At<String>, report: &mut Report) -> Option<(EndpointSpec, bool, u16)> {
    let (text, place) = (&written.value, &written.place);
    if text.contains('@') {
        report.hide(place.span);
        let message = "a password in a URL would show in every dump";
        let help = "remove everything up to `@`, and write `password: { file: … }` or `{ env: … }`";
        report.error(place, "bad-url", message, help);
        return None;
    }
    let parsed = match url::parse_with(text, &[("redis", 6379), ("rediss", 6379)]) {
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
    Some((endpoint, parsed.secure, database))
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
