//! `jwks` and `secret` of a token provider: the source of its keys.

use std::{path::Path, sync::Arc, time::Duration};

use http::Uri;
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use crate::{
    block::{
        At, Flag, Time, block,
        field::{Field, flag, time_over_zero},
        problem::Report,
        show::{Object, path, text, time},
    },
    files::Files,
    part::{algorithm::JwtAlgorithm, url},
    provider::jwks,
    secret::{self, CredentialsBlock, SecretSource, SecretSpec, SecretText},
    tls::trust,
};

block! {
    /// Source of a provider's public keys: at most one of `url`, `file` and `inline`. Without them,
    /// OpenID Connect discovery finds them.
    JwksBlock {
        /// URL of the key set (JWKS), https unless `allowInsecure`.
        "url" url: String,
        /// Path of a file with the key set, relative to this file. Reloaded when it changes.
        "file" file: String,
        /// The key set itself, as JSON text.
        "inline" inline: String,
        /// Interval between fetches, from 1s, ±10 %. Default 10m.
        "refresh" refresh: Time,
        /// From the start of the connect to the complete response, over 0 and at most 5s. Default
        /// 2s.
        "timeout" timeout: Time,
        /// How long keys are used after the last successful fetch, at least `refresh`. Default 24h.
        "maxStale" max_stale: Time,
        /// PEM files with the CAs that sign the certificate of the key server. Default: the
        /// system's CA certificates.
        "caFiles" ca_files: Vec<At<String>>,
        /// Credentials for the fetch; never sent over http.
        "credentials" credentials: CredentialsBlock,
        /// Whether http is allowed. An attacker on the network path can then replace the keys.
        /// Default false.
        "allowInsecure" allow_insecure: Flag,
    }
}

/// The source of a provider's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// At the URL in the issuer's discovery document (OpenID Connect Discovery 1.0 section 4).
    Discovery(RemoteKeys),
    /// At this URL.
    Url(Uri, RemoteKeys),
    /// A JWKS in a file beside the configuration, or in the configuration itself.
    Text {
        /// The text of the JWKS, which is valid and has at least one key.
        jwks: Arc<str>,
        /// The file; `None` for `inline`.
        file: Option<Arc<Path>>,
    },
    /// One shared secret, for HS256, HS384 and HS512.
    Secret(SecretText),
}

/// How keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteKeys {
    /// Interval between fetches, ±10 %. Default 10 min.
    pub refresh: Duration,
    /// From the start of the connect to the complete response. Default 2 s, at most 5 s.
    pub timeout: Duration,
    /// How long keys are used after the last successful fetch. Default 24 h.
    pub max_stale: Duration,
    /// Whether `http` is allowed. Default false.
    pub allow_insecure: bool,
    /// The CA certificates for the key server; empty: those of the system.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// The files that they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// Credentials for the fetch.
    pub bearer_token: Option<SecretSource>,
}

impl Default for RemoteKeys {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(600),
            timeout: Duration::from_secs(2),
            max_stale: Duration::from_secs(24 * 3600),
            allow_insecure: false,
            ca_certificates: Vec::new(),
            ca_files: Vec::new(),
            bearer_token: None,
        }
    }
}

/// More frequent fetches would overload the key server.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// `docs/security.md` 14.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// The key settings of a provider, as written.
pub(crate) struct KeySettings<'a> {
    pub(crate) secret: Option<&'a At<SecretSpec>>,
    pub(crate) jwks: Option<&'a At<JwksBlock>>,
    pub(crate) issuer: Option<&'a At<String>>,
}

/// Validates the source of a provider's keys.
pub(crate) fn accept(
    written: &KeySettings<'_>,
    algorithms: &[JwtAlgorithm],
    files: &mut Files<'_>,
    report: &mut Report,
) -> KeySource {
    if let Some(secret) = written.secret {
        if let Some(jwks) = written.jwks {
            let message = "`secret` and `jwks` cannot be used together";
            report.error(
                &jwks.place,
                "conflicting-keys",
                message,
                "keep exactly one of them",
            );
        }
        return KeySource::Secret(secret::shared(secret, algorithms, files, report));
    }
    let none = JwksBlock::default();
    let jwks = written.jwks.map_or(&none, |jwks| &jwks.value);
    at_most_one(jwks, report);
    if let Some(inline) = &jwks.inline {
        without_effect(jwks, report);
        jwks::check(
            inline.value.as_bytes(),
            None,
            algorithms,
            &inline.place,
            report,
        );
        return KeySource::Text {
            jwks: inline.value.as_str().into(),
            file: None,
        };
    }
    if let Some(written) = &jwks.file {
        without_effect(jwks, report);
        let Some(file) = files.named(written, report) else {
            return KeySource::Text {
                jwks: "".into(),
                file: None,
            };
        };
        jwks::check(
            &file.content,
            Some(&written.value),
            algorithms,
            &written.place,
            report,
        );
        let text = String::from_utf8_lossy(&file.content);
        return KeySource::Text {
            jwks: text.into(),
            file: Some(file.path),
        };
    }
    let remote = remote(jwks, files, report);
    match &jwks.url {
        Some(written) => {
            let uri = checked_url(written, jwks, "`url`", report);
            KeySource::Url(uri.unwrap_or_default(), remote)
        }
        None => {
            if let Some(issuer) = written.issuer.filter(|issuer| !issuer.value.is_empty()) {
                discovered(issuer, jwks, report);
            }
            KeySource::Discovery(remote)
        }
    }
}

/// Discovery uses a URL below the issuer (OpenID Connect Discovery 1.0 section 4.1).
fn discovered(issuer: &At<String>, jwks: &JwksBlock, report: &mut Report) {
    if !issuer.value.contains("://") {
        let message = "the issuer is not a URL, so discovery of its keys is not possible";
        let help = "configure their source: `jwks: { url: https://… }`, or `file`";
        report.error(&issuer.place, "bad-url", message, help);
        return;
    }
    if checked_url(
        issuer,
        jwks,
        "the issuer, which is used for discovery,",
        report,
    )
    .is_some()
        && issuer.value.contains(['?', '#'])
    {
        let message = "discovery is not possible for an issuer with a query or fragment";
        report.error(
            &issuer.place,
            "bad-url",
            message,
            "configure the source of its keys: `jwks: { url: https://… }`",
        );
    }
    if let (Some(insecure), Some(credentials)) = (&jwks.allow_insecure, &jwks.credentials)
        && insecure.value.0
    {
        // The discovery document may contain an http URL.
        let message =
            "credentials are never sent over http, which `allowInsecure` allows for discovery";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "remove one of the two, or set `url`",
        );
    }
}

fn checked_url(
    written: &At<String>,
    jwks: &JwksBlock,
    what: &str,
    report: &mut Report,
) -> Option<Uri> {
    let parsed = match url::parse(&written.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&written.value, "https://host/path", &written.place, report);
            return None;
        }
    };
    if !parsed.secure {
        over_http(written, jwks, what, report);
    }
    let uri = written.value.parse::<Uri>().ok();
    if uri.is_none() {
        let message = format!("{:?} is not a valid URL", written.value);
        report.error(
            &written.place,
            "bad-url",
            message,
            "write https://host/path in visible ASCII",
        );
    }
    uri
}

fn over_http(written: &At<String>, jwks: &JwksBlock, what: &str, report: &mut Report) {
    if !flag(&jwks.allow_insecure, false) {
        let message =
            format!("{what} is http: an attacker on the network path could replace the keys");
        let help = "write https://, or `jwks.allowInsecure: true` if the network path is trusted";
        report.error(&written.place, "insecure-url", message, help);
        return;
    }
    if let Some(credentials) = &jwks.credentials {
        let message = "credentials are never sent over http";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "write https:// in `url`",
        );
    }
    if let Some(files) = &jwks.ca_files {
        let message = "`caFiles` has no effect on http, which uses no certificate";
        report.error(
            &files.place,
            "conflicting-keys",
            message,
            "remove it, or write https://",
        );
    }
}

fn at_most_one(jwks: &JwksBlock, report: &mut Report) {
    let sources = [
        ("url", &jwks.url),
        ("file", &jwks.file),
        ("inline", &jwks.inline),
    ];
    let mut written = sources
        .into_iter()
        .filter_map(|(key, source)| source.as_ref().map(|at| (key, at)));
    if let (Some((first, _)), Some((second, at))) = (written.next(), written.next()) {
        let message = format!("`{first}` and `{second}` cannot be used together");
        report.error(
            &at.place,
            "conflicting-keys",
            message,
            "keep at most one of them",
        );
    }
}

fn remote(jwks: &JwksBlock, files: &mut Files<'_>, report: &mut Report) -> RemoteKeys {
    let default = RemoteKeys::default();
    let refresh = time_over_zero(&jwks.refresh, default.refresh, report);
    let timeout = time_over_zero(&jwks.timeout, default.timeout, report);
    let max_stale = time_over_zero(&jwks.max_stale, default.max_stale, report);
    within(
        &jwks.refresh,
        refresh >= MIN_REFRESH,
        "`refresh` is shorter than the minimum of 1s",
        "write 1s or more",
        report,
    );
    within(
        &jwks.timeout,
        timeout <= MAX_TIMEOUT,
        "`timeout` is longer than the maximum of 5s, because requests wait for the keys",
        "write at most 5s",
        report,
    );
    if max_stale < refresh {
        let place = jwks
            .max_stale
            .as_ref()
            .or(jwks.refresh.as_ref())
            .map(|time| &time.place);
        if let Some(place) = place {
            let message = "`maxStale` is shorter than `refresh`: the keys would expire before they are fetched again";
            report.error(
                place,
                "timeout-order",
                message,
                "lengthen `maxStale` (default 24h), or shorten `refresh` (default 10m)",
            );
        }
    }
    let authorities = trust::authorities(jwks.ca_files.as_ref(), files, report);
    let credentials = jwks
        .credentials
        .as_ref()
        .and_then(|block| block.value.bearer_token.as_ref());
    RemoteKeys {
        refresh,
        timeout,
        max_stale,
        allow_insecure: flag(&jwks.allow_insecure, default.allow_insecure),
        ca_certificates: authorities.certificates,
        ca_files: authorities.files,
        bearer_token: credentials.and_then(|token| secret::bearer_token(token, files, report)),
    }
}

fn within(field: &Field<Time>, good: bool, message: &str, help: &str, report: &mut Report) {
    if let Some(field) = field.as_ref().filter(|_| !good) {
        report.error(&field.place, "out-of-range", message, help);
    }
}

/// Reports settings for fetching when no keys are fetched.
fn without_effect(jwks: &JwksBlock, report: &mut Report) {
    let keys = [
        ("refresh", jwks.refresh.as_ref().map(|at| &at.place)),
        ("timeout", jwks.timeout.as_ref().map(|at| &at.place)),
        ("maxStale", jwks.max_stale.as_ref().map(|at| &at.place)),
        ("caFiles", jwks.ca_files.as_ref().map(|at| &at.place)),
        ("credentials", jwks.credentials.as_ref().map(|at| &at.place)),
        (
            "allowInsecure",
            jwks.allow_insecure.as_ref().map(|at| &at.place),
        ),
    ];
    for (key, place) in keys {
        if let Some(place) = place {
            let message = format!("`{key}` has no effect on keys that are not fetched");
            report.error(place, "conflicting-keys", message, "remove it");
        }
    }
}

/// Renders keys that are fetched.
pub(crate) fn show_remote(object: Object, keys: &RemoteKeys) -> Object {
    let ca_files: Vec<Value> = keys.ca_files.iter().map(|file| path(file)).collect();
    let credentials = keys.bearer_token.as_ref().map(|token| {
        let token = match token {
            SecretSource::File(file) => Object::new().with("file", path(file)),
            SecretSource::Env { name, .. } => Object::new().with("env", text(name)),
        };
        Object::new().with("bearerToken", token)
    });
    object
        .with("refresh", time(keys.refresh))
        .with("timeout", time(keys.timeout))
        .with("maxStale", time(keys.max_stale))
        .maybe("caFiles", (!ca_files.is_empty()).then_some(ca_files))
        .maybe("credentials", credentials)
        .with("allowInsecure", keys.allow_insecure)
}
