//! Where a provider's keys are.

use std::time::Duration;

use http::Uri;

use crate::{
    block::{
        At, Time,
        field::{Field, flag, time_over_zero},
        problem::Report,
    },
    files::Files,
    model::{JwtAlgorithm, KeySource, RemoteKeys},
    part::url,
    schema::{JwksBlock, JwtProviderBlock},
    validate::{jwks, secret, tls::trust},
};

/// A key set that is asked for more often is an attack on who answers.
const MIN_REFRESH: Duration = Duration::from_secs(1);
/// `docs/security.md` 14.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// The one source of a provider's keys.
pub(crate) fn keys(
    block: &JwtProviderBlock,
    algorithms: &[JwtAlgorithm],
    files: &mut Files<'_>,
    report: &mut Report,
) -> KeySource {
    if let Some(written) = &block.secret {
        if let Some(jwks) = &block.jwks {
            let message = "`secret` and `jwks` exclude each other";
            report.error(&jwks.place, "conflicting-keys", message, "keep exactly one of them");
        }
        return KeySource::Secret(secret::shared(written, algorithms, files, report));
    }
    let none = JwksBlock::default();
    let jwks = block.jwks.as_ref().map_or(&none, |jwks| &jwks.value);
    at_most_one(jwks, report);
    if let Some(inline) = &jwks.inline {
        without_effect(jwks, report);
        jwks::check(inline.value.as_bytes(), None, algorithms, &inline.place, report);
        return KeySource::Text { jwks: inline.value.as_str().into(), file: None };
    }
    if let Some(written) = &jwks.file {
        without_effect(jwks, report);
        let Some(file) = files.named(written, report) else {
            return KeySource::Text { jwks: "".into(), file: None };
        };
        jwks::check(&file.content, Some(&written.value), algorithms, &written.place, report);
        let text = String::from_utf8_lossy(&file.content);
        return KeySource::Text { jwks: text.into(), file: Some(file.path) };
    }
    let remote = remote(jwks, files, report);
    match &jwks.url {
        Some(written) => {
            let uri = checked_url(written, jwks, "`url`", report);
            KeySource::Url(uri.unwrap_or_default(), remote)
        }
        None => {
            if let Some(issuer) = block.issuer.as_ref().filter(|issuer| !issuer.value.is_empty()) {
                discovered(issuer, jwks, report);
            }
            KeySource::Discovery(remote)
        }
    }
}

/// Discovery asks below the issuer (OpenID Connect Discovery 1.0 section 4.1).
fn discovered(issuer: &At<String>, jwks: &JwksBlock, report: &mut Report) {
    if !issuer.value.contains("://") {
        let message = "the issuer is no URL, so its keys cannot be discovered";
        let help = "say where they are: `jwks: { url: https://… }`, or `file`";
        report.error(&issuer.place, "bad-url", message, help);
        return;
    }
    if checked_url(issuer, jwks, "the issuer, below which keys are discovered,", report).is_some()
        && issuer.value.contains(['?', '#'])
    {
        let message = "an issuer with a query or fragment has no place below it to discover keys at";
        report.error(&issuer.place, "bad-url", message, "say where they are: `jwks: { url: https://… }`");
    }
    if let (Some(insecure), Some(credentials)) = (&jwks.allow_insecure, &jwks.credentials)
        && insecure.value.0
    {
        // The document that is discovered may send us to a URL with http.
        let message = "credentials never go over http, which `allowInsecure` lets discovery do";
        report.error(
            &credentials.place,
            "insecure-credentials",
            message,
            "remove one of the two, or name the `url`",
        );
    }
}

fn checked_url(written: &At<String>, jwks: &JwksBlock, what: &str, report: &mut Report) -> Option<Uri> {
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
        let message = format!("{:?} is not a URL", written.value);
        report.error(&written.place, "bad-url", message, "write https://host/path in visible ASCII");
    }
    uri
}

fn over_http(written: &At<String>, jwks: &JwksBlock, what: &str, report: &mut Report) {
    if !flag(&jwks.allow_insecure, false) {
        let message = format!("{what} is http: whoever sits on the way could replace the keys");
        let help = "write https://, or `jwks.allowInsecure: true` where the way is yours";
        report.error(&written.place, "insecure-url", message, help);
        return;
    }
    if let Some(credentials) = &jwks.credentials {
        let message = "credentials never go over http";
        report.error(&credentials.place, "insecure-credentials", message, "write https:// in `url`");
    }
    if let Some(files) = &jwks.ca_files {
        let message = "`caFiles` has no effect on http, which shows no certificate";
        report.error(&files.place, "conflicting-keys", message, "remove it, or write https://");
    }
}

fn at_most_one(jwks: &JwksBlock, report: &mut Report) {
    let sources = [("url", &jwks.url), ("file", &jwks.file), ("inline", &jwks.inline)];
    let mut written = sources.into_iter().filter_map(|(key, source)| source.as_ref().map(|at| (key, at)));
    if let (Some((first, _)), Some((second, at))) = (written.next(), written.next()) {
        let message = format!("`{first}` and `{second}` exclude each other");
        report.error(&at.place, "conflicting-keys", message, "keep at most one of them");
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
        "keys are fetched every second at most",
        "write 1s or more",
        report,
    );
    within(
        &jwks.timeout,
        timeout <= MAX_TIMEOUT,
        "requests wait for this answer",
        "write at most 5s",
        report,
    );
    if max_stale < refresh {
        let place = jwks.max_stale.as_ref().or(jwks.refresh.as_ref()).map(|time| &time.place);
        if let Some(place) = place {
            let message = "`maxStale` is shorter than `refresh`: the keys would be too old before they are fetched again";
            report.error(
                place,
                "timeout-order",
                message,
                "lengthen `maxStale` (default 24h), or shorten `refresh` (default 10m)",
            );
        }
    }
    let authorities = trust::authorities(jwks.ca_files.as_ref(), files, report);
    let credentials = jwks.credentials.as_ref().and_then(|block| block.value.bearer_token.as_ref());
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

/// Reports keys that are about fetching, where nothing is fetched.
fn without_effect(jwks: &JwksBlock, report: &mut Report) {
    let keys = [
        ("refresh", jwks.refresh.as_ref().map(|at| &at.place)),
        ("timeout", jwks.timeout.as_ref().map(|at| &at.place)),
        ("maxStale", jwks.max_stale.as_ref().map(|at| &at.place)),
        ("caFiles", jwks.ca_files.as_ref().map(|at| &at.place)),
        ("credentials", jwks.credentials.as_ref().map(|at| &at.place)),
        ("allowInsecure", jwks.allow_insecure.as_ref().map(|at| &at.place)),
    ];
    for (key, place) in keys {
        if let Some(place) = place {
            let message = format!("`{key}` has no effect on keys that are not fetched");
            report.error(place, "conflicting-keys", message, "remove it");
        }
    }
}
