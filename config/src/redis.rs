//! `redis`: the server for limits that all pods share.

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
    /// The Redis server that stores limits with `store: redis`, version 6 or newer.
    RedisBlock {
        /// `redis://host:port`, or `redis://host:port/number` for a database other than 0;
        /// `rediss://` with TLS. Default port 6379.
        "url" url: String,
        /// The ACL user of `password`. Default: the Redis user `default`.
        "username" username: String,
        /// Password for AUTH at the start of each connection. A file is reloaded when it changes.
        "password" password: SecretSpec,
        /// TLS with the server, for URLs that begin with `rediss`: trusted CAs and client
        /// certificate.
        "tls" tls: UpstreamTlsBlock,
        /// How long a request waits for Redis, connect included, over 0. Default 50ms.
        "timeout" timeout: Time,
        /// What happens when Redis does not respond: `allow`, or `deny` (503). Default allow.
        "onError" on_error: Word<OnError>,
    }
    required ["url"]
}

/// `redis`: the server for limits that all pods share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// Its address.
    pub endpoint: EndpointSpec,
    /// TLS, if used.
    pub tls: Option<Arc<ClientTls>>,
    /// The user, if not the Redis default.
    pub username: Option<Arc<str>>,
    /// The password.
    pub password: Option<SecretText>,
    /// The number of the database. Default 0.
    pub database: u16,
    /// How long a request waits for Redis. Default 50 ms.
    pub timeout: Duration,
    /// What happens when Redis does not respond. Default allow.
    pub on_error: OnError,
}

/// Envoy waits 20 ms for its rate limit service; Redis is often in another zone.
const REDIS_TIMEOUT: Duration = Duration::from_millis(50);

/// An example of such a URL.
const FORM: &str = "redis://host:6379";

/// Validates the server. `None` when a problem was reported.
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
        .filter(|_| !secure && !endpoint.address.is_local())
    {
        let message =
            "the password is sent unencrypted, and an attacker on the network path can read it";
        report.warning(
            &written.place,
            "insecure-credentials",
            message,
            "write rediss:// if the server supports TLS",
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
        let message = format!("{:?} is not a valid user name", written.value);
        report.error(
            &written.place,
            "bad-name",
            message,
            "write the name of a Redis user, without spaces",
        );
        return None;
    }
    Some(written.value.as_str().into())
}

/// Its address, whether TLS is used, and the number of the database.
fn server(written: &At<String>, report: &mut Report) -> Option<(EndpointSpec, bool, u16)> {
    let (text, place) = (&written.value, &written.place);
    if text.contains('@') {
        report.hide(place.span);
        let message = "a user or password in a URL is not allowed, because dumps would contain it";
        let help = "remove everything up to `@`, and add `password: { file: … }` or `{ env: … }`";
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
        let message = format!("{text:?} is not a valid database");
        report.error(
            place,
            "bad-url",
            message,
            format!("write {FORM}, or {FORM}/1 for database 1"),
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

/// The path of the URL: empty, or the number of the database.
fn database(tail: &str) -> Option<u16> {
    match tail.strip_prefix('/').unwrap_or(tail) {
        "" => Some(0),
        number if tail.starts_with('/') && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok()
        }
        _ => None,
    }
}

/// Renders the accepted value.
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
