//! `redis`: the server of limits that all pods share.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    block::{
        At, Time, Word, block,
        field::{time_over_zero, word},
        problem::Report,
        show::{self, Object, text, time},
    },
    files::Files,
    part::{
        url::{self, EndpointSpec},
        words::OnError,
    },
    secret::{self, SecretSpec, SecretText},
    tls::client::{self, ClientTls, UpstreamTlsBlock},
};

block! {
    /// The server that limits with `store: redis` are kept by, Redis 6 or newer.
    RedisBlock {
        /// `redis://host:port`, or `redis://host:port/number` for another database than 0; `rediss://` with TLS. Default port 6379.
        "url" url: String,
        /// The user of `password`. Default: redis's own, `default`.
        "username" username: String,
        /// What it is told at the beginning of each connection (AUTH). A file is read again when it changes.
        "password" password: SecretSpec,
        /// TLS towards it, where the URL begins with `rediss`: who is believed, and what is shown.
        "tls" tls: UpstreamTlsBlock,
        /// How long a request waits for its answers, connect included, over 0. Default 50ms.
        "timeout" timeout: Time,
        /// What happens without an answer: `allow`, or `deny` (503). Default allow.
        "onError" on_error: Word<OnError>,
    }
    required ["url"]
}

/// `redis`: the server of limits that all pods share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// Where it is.
    pub endpoint: EndpointSpec,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<ClientTls>>,
    /// The user of the password, where it is another than redis's own.
    pub username: Option<Arc<str>>,
    /// What each connection begins with.
    pub password: Option<SecretText>,
    /// The number of the database. Default 0.
    pub database: u16,
    /// How long a request waits for it. Default 50 ms.
    pub timeout: Duration,
    /// What happens without an answer. Default allow.
    pub on_error: OnError,
}

/// Envoy waits 20 ms for its rate limit service; redis is often a zone away.
const REDIS_TIMEOUT: Duration = Duration::from_millis(50);

/// How such a URL is written.
const FORM: &str = "redis://host:6379";

/// Checks the server. `None` was reported.
pub(crate) fn accept(
    block: &At<RedisBlock>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<Redis> {
    let block = &block.value;
    let timeout = time_over_zero(&block.timeout, REDIS_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Allow);
    let username = block
        .username
        .as_ref()
        .and_then(|name| username(name, block, report));
    let password = block
        .password
        .as_ref()
        .and_then(|written| secret::password(written, files, report));
    let (endpoint, secure, database) = server(block.url.as_ref()?, report)?;
    if let Some(written) = block
        .password
        .as_ref()
        .filter(|_| !secure && !endpoint.address.is_here())
    {
        let message =
            "the password goes over the network as it is, and whoever sits on the way can read it";
        report.warning(
            &written.place,
            "insecure-credentials",
            message,
            "write rediss:// where redis speaks TLS",
        );
    }
    let tls = client::of_url(block.tls.as_ref(), secure, "rediss", files, report);
    Some(Redis {
        endpoint,
        tls,
        username,
        password,
        database,
        timeout,
        on_error,
    })
}

fn username(written: &At<String>, block: &RedisBlock, report: &mut Report) -> Option<Arc<str>> {
    if block.password.is_none() {
        let help = "add `password: { file: … }`, or remove `username`";
        report.missing(&written.place, &["password"], "`password` is missing", help);
    }
    if written.value.is_empty() || written.value.contains(char::is_whitespace) {
        let message = format!("{:?} is no name of a user", written.value);
        report.error(
            &written.place,
            "bad-name",
            message,
            "write the name of a redis user, without spaces",
        );
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
        report.error(
            place,
            "bad-url",
            message,
            format!("write {FORM}, or {FORM}/1 for another database"),
        );
        return None;
    };
    let endpoint = EndpointSpec {
        address: parsed.address,
        authority: parsed.authority.into(),
        weight: 1,
    };
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

/// Shows what was accepted.
pub(crate) fn show(redis: &Redis) -> Value {
    let database = Some(redis.database).filter(|number| *number > 0);
    let database = database.map_or_else(String::new, |number| format!("/{number}"));
    let scheme = if redis.tls.is_some() {
        "rediss"
    } else {
        "redis"
    };
    let tls = redis
        .tls
        .as_deref()
        .filter(|tls| **tls != ClientTls::default());
    Object::new()
        .with(
            "url",
            text(&format!(
                "{scheme}://{}{database}",
                redis.endpoint.authority
            )),
        )
        .maybe("username", redis.username.as_deref().map(text))
        .maybe(
            "password",
            redis
                .password
                .as_ref()
                .map(|secret| secret::show(secret.origin())),
        )
        .maybe("tls", tls.map(client::show))
        .with("timeout", time(redis.timeout))
        .with("onError", show::word(redis.on_error))
        .into()
}
