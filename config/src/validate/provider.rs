//! `jwtProviders`: who issues tokens, and what its tokens must be like.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, header};

use crate::{
    block::{
        At, Entries, OneOrMany, Time,
        field::{Field, flag, time, time_or_off, word},
        name,
        problem::Report,
        word_of,
    },
    files::Files,
    listener::Listener,
    model::{ClaimHeader, JwtAlgorithm, JwtProvider, TokenBinding, TokenLocation},
    part::{
        claim,
        headers::{self, is_token},
    },
    schema::{JwtProviderBlock, TokenLocationBlock},
    validate::key_source,
};

/// `docs/security.md` 13.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Media types in `typ` are short; this only keeps nonsense out.
const MAX_TOKEN_TYPE: usize = 100;

/// All providers, in file order.
pub(crate) fn providers(
    written: Option<&At<Entries<JwtProviderBlock>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<JwtProvider> {
    let Some(written) = written else { return Vec::new() };
    if written.value.0.is_empty() {
        let help = "add a provider, or remove the key for routes without tokens";
        report.error(&written.place, "empty-list", "there is no token provider", help);
    }
    let mut providers = Vec::with_capacity(written.value.0.len());
    for (key, block) in &written.value.0 {
        name::check(&key.value, &key.place, report);
        name::not_reserved(&key.value, &key.place, report);
        providers.push(provider(&key.value, &block.value, files, report));
    }
    told_apart(written, report);
    stripped_before_they_are_read(written, &providers, report);
    providers
}

fn provider(name: &str, block: &JwtProviderBlock, files: &mut Files<'_>, report: &mut Report) -> JwtProvider {
    let algorithms = algorithms(block, report);
    let keys = key_source::keys(block, &algorithms, files, report);
    let audiences = texts(block.audiences.as_ref(), "audience", report);
    let mut provider = JwtProvider::new(name.into(), issuer(block, report), audiences, keys);
    provider.algorithms = algorithms;
    if let Some(written) = &block.token_types {
        provider.token_types = token_types(written, report);
    }
    provider.clock_skew = clock_skew(&block.clock_skew, provider.clock_skew, report);
    provider.max_lifetime = time_or_off(&block.max_lifetime, None);
    provider.binding = word(&block.binding, provider.binding);
    if let Some(written) = &block.from {
        provider.from = locations(written, report);
    }
    provider.forward_token = flag(&block.forward_token, provider.forward_token);
    provider.claim_headers = claim_headers(block.claim_headers.as_ref(), report);
    provider
}

fn issuer(block: &JwtProviderBlock, report: &mut Report) -> Arc<str> {
    let Some(issuer) = &block.issuer else { return "".into() };
    if issuer.value.trim() != issuer.value || issuer.value.is_empty() {
        let message = "an issuer is not empty and has no spaces at its ends";
        report.error(&issuer.place, "bad-issuer", message, "write what stands in `iss` of its tokens");
    }
    issuer.value.as_str().into()
}

fn texts(written: Option<&At<Vec<At<String>>>>, what: &str, report: &mut Report) -> Vec<Arc<str>> {
    let Some(written) = written else { return Vec::new() };
    if written.value.is_empty() {
        let help = "name at least one: a token for somebody else must not pass here";
        report.error(&written.place, "empty-list", format!("there is no {what}"), help);
    }
    let items = name::each_once(&written.value, report);
    for item in items.iter().filter(|item| item.value.is_empty()) {
        let help = "write what stands in the token";
        report.error(&item.place, "bad-value", format!("an {what} is not empty"), help);
    }
    items.into_iter().map(|item| item.value.as_str().into()).collect()
}

fn algorithms(block: &JwtProviderBlock, report: &mut Report) -> Vec<JwtAlgorithm> {
    let Some(written) = &block.algorithms else {
        // Each key can be used with those of its own type only, so all of them are no weaker than some.
        return if block.secret.is_some() {
            vec![JwtAlgorithm::Hs256]
        } else {
            JwtAlgorithm::ASYMMETRIC.to_vec()
        };
    };
    if written.value.is_empty() {
        let help = "name at least one, or remove the key for the default";
        report.error(&written.place, "empty-list", "no signature is good enough", help);
    }
    let mut algorithms: Vec<JwtAlgorithm> = Vec::new();
    for item in &written.value {
        let algorithm = item.value.0;
        if algorithms.contains(&algorithm) {
            let message = format!("{} is named twice", word_of(algorithm));
            report.error(&item.place, "duplicate-reference", message, "name it once");
            continue;
        }
        if algorithms.first().is_some_and(|first| first.is_symmetric() != algorithm.is_symmetric()) {
            // A public key must never be taken for a shared secret.
            let message = "HS256 and its kin do not stand beside other algorithms";
            let help = "write one provider for the shared secret and one for public keys";
            report.error(&item.place, "mixed-algorithms", message, help);
        }
        algorithms.push(algorithm);
    }
    match (algorithms.first().is_some_and(|first| first.is_symmetric()), &block.secret) {
        (true, None) => {
            let help = "add `secret: { file: … }` or `secret: { env: … }`";
            report.missing(&written.place, &["secret"], "HS256 and its kin need a `secret`", help);
        }
        (false, Some(secret)) if !algorithms.is_empty() => {
            let message = "a `secret` is for HS256, HS384 and HS512 only";
            let help = "name one of these in `algorithms`, or remove the secret and say where the `jwks` is";
            report.error(&secret.place, "conflicting-keys", message, help);
        }
        _ => {}
    }
    algorithms
}

fn token_types(written: &At<Vec<At<String>>>, report: &mut Report) -> Vec<Arc<str>> {
    if written.value.is_empty() {
        let help = "name at least one, or remove the key for JWT and at+jwt";
        report.error(&written.place, "empty-list", "there is no token type", help);
    }
    let mut types: Vec<Arc<str>> = Vec::new();
    for item in &written.value {
        let lower = item.value.to_ascii_lowercase();
        // RFC 7515 section 4.1.9: `application/` may be left out.
        let short = lower.strip_prefix("application/").unwrap_or(&lower);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
        if short.is_empty() || short.len() > MAX_TOKEN_TYPE || !short.bytes().all(plain) {
            let message = format!("{:?} is not a token type", item.value);
            report.error(&item.place, "bad-value", message, "write for example JWT or at+jwt");
        }
        if types.iter().any(|other| **other == *short) {
            let message = format!("the token type {:?} stands here twice", item.value);
            report.error(&item.place, "duplicate-reference", message, "upper and lower case are the same");
            continue;
        }
        types.push(short.into());
    }
    types
}

fn clock_skew(written: &Field<Time>, default: Duration, report: &mut Report) -> Duration {
    let skew = time(written, default);
    if let Some(written) = written.as_ref().filter(|_| skew > MAX_CLOCK_SKEW) {
        let help = "write at most 300s, and keep the clocks right";
        report.error(&written.place, "out-of-range", "clocks may be off by 5 minutes at most", help);
    }
    skew
}

fn locations(written: &At<Vec<At<TokenLocationBlock>>>, report: &mut Report) -> Vec<TokenLocation> {
    if written.value.is_empty() {
        let help = "name a place, or remove the key for the Authorization header";
        report.error(&written.place, "empty-list", "a token stands nowhere", help);
    }
    let mut locations = Vec::new();
    for item in &written.value {
        let Some(location) = location(&item.value, report) else { continue };
        if locations.contains(&location) {
            report.error(&item.place, "duplicate-reference", "this place is named twice", "name it once");
        }
        locations.push(location);
    }
    locations
}

fn location(block: &TokenLocationBlock, report: &mut Report) -> Option<TokenLocation> {
    if let Some(cookie) = &block.cookie {
        if let Some(scheme) = &block.scheme {
            let help = "remove `scheme`";
            report.error(&scheme.place, "conflicting-keys", "a cookie has no scheme", help);
        }
        if !is_token(&cookie.value) {
            let message = format!("{:?} is not the name of a cookie", cookie.value);
            report.error(&cookie.place, "bad-value", message, "use letters, digits, `-` and `_`");
        }
        return Some(TokenLocation::Cookie(cookie.value.as_str().into()));
    }
    let written = block.header.as_ref()?;
    let name = headers::parse_name(&written.value, &written.place, report)?;
    let help = match name.as_str() {
        "cookie" => Some("write `cookie: NAME` with the name of the one cookie"),
        "set-cookie" | "host" => Some("use a header of its own"),
        _ => headers::not_the_apps(&name),
    };
    if let Some(help) = help {
        let message = format!("a token cannot stand in `{name}`");
        report.error(&written.place, "forbidden-header", message, help);
    }
    if let Some(scheme) = block.scheme.as_ref().filter(|scheme| !is_token(&scheme.value)) {
        let message = format!("{:?} is not a scheme", scheme.value);
        report.error(&scheme.place, "bad-value", message, "write one word, such as Bearer");
    }
    let scheme = block.scheme.as_ref().map(|scheme| scheme.value.as_str());
    // RFC 9110 section 11.6.2: in Authorization there is always a scheme.
    let scheme = scheme.or_else(|| (name == header::AUTHORIZATION).then_some("Bearer"));
    Some(TokenLocation::Header { name, scheme: scheme.map(Into::into) })
}

fn claim_headers(written: Option<&At<Entries<OneOrMany<String>>>>, report: &mut Report) -> Vec<ClaimHeader> {
    let mut found: Vec<ClaimHeader> = Vec::new();
    for (key, claim) in written.map_or(&[][..], |written| &written.value.0) {
        let claim = claim::path_value(claim, report);
        let Some(name) = headers::parse_name(&key.value, &key.place, report) else { continue };
        if let Some(help) = not_for_claims(&name) {
            let message = format!("a claim cannot be sent as `{name}`");
            report.error(&key.place, "forbidden-header", message, help);
        }
        if found.iter().any(|other| other.name == name) {
            let help = "names of headers have no case; keep one";
            report.error(&key.place, "duplicate-key", "this header stands here a second time", help);
        }
        found.extend(claim.map(|claim| ClaimHeader::new(name, claim)));
    }
    found
}

/// Why a header, which is taken away from every client, carries no claim.
fn not_for_claims(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "host" | "authorization" | "cookie" | "origin" | "content-type" | "expect" | "accept" => {
            Some("clients send it for another reason; use a name of its own, such as x-user-id")
        }
        name if name.contains('_') => {
            Some("many apps read `_` as `-`, so that clients could send it too; use `-`")
        }
        name if name.starts_with("access-control-") => {
            Some("it belongs to CORS; use a name such as x-user-id")
        }
        _ => headers::not_the_apps(name),
    }
}

/// A token that is bound to a certificate needs one that comes with it.
pub(crate) fn bound_tokens_can_come(
    written: Option<&At<Entries<JwtProviderBlock>>>,
    listeners: &[Listener],
    report: &mut Report,
) {
    let asks = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.client_auth.is_some());
    for (_, block) in written.map_or(&[][..], |written| &written.value.0) {
        let binding =
            block.value.binding.as_ref().filter(|binding| binding.value.0 == TokenBinding::Required);
        if let Some(binding) = binding.filter(|_| !listeners.iter().any(asks)) {
            let message = "tokens must be bound to a client certificate, and no listener asks for one";
            let help = "add `tls.clientAuth` to a listener, or write binding: whenPresent";
            report.error(&binding.place, "no-client-auth", message, help);
        }
    }
}

/// Tokens are told apart by `iss`, so no two providers have the same.
fn told_apart(written: &At<Entries<JwtProviderBlock>>, report: &mut Report) {
    let issuers: Vec<(&str, &At<String>)> = written
        .value
        .0
        .iter()
        .filter_map(|(key, block)| block.value.issuer.as_ref().map(|issuer| (key.value.as_str(), issuer)))
        .collect();
    for (index, (_, issuer)) in issuers.iter().enumerate() {
        if let Some((name, _)) = issuers[..index].iter().find(|(_, other)| other.value == issuer.value) {
            let message = format!("`{name}` has this issuer too, and tokens are told apart by it");
            let help = "make one provider of the two; `audiences` is a list";
            report.error(&issuer.place, "duplicate-issuer", message, help);
        }
    }
}

/// A header that claims are sent in never comes from a client, so no token is in it.
fn stripped_before_they_are_read(
    written: &At<Entries<JwtProviderBlock>>,
    providers: &[JwtProvider],
    report: &mut Report,
) {
    let owned = |name: &HeaderName| {
        providers.iter().flat_map(|provider| &provider.claim_headers).any(|header| header.name == *name)
    };
    for (_, block) in &written.value.0 {
        for item in block.value.from.as_ref().map_or(&[][..], |from| &from.value) {
            let Some(header) = &item.value.header else { continue };
            let name = HeaderName::from_bytes(header.value.as_bytes());
            if name.is_ok_and(|name| owned(&name)) {
                let message =
                    "`claimHeaders` takes this header away from every client, so it never has a token";
                let help = "use another name in one of the two";
                report.error(&header.place, "conflicting-keys", message, help);
            }
        }
    }
}
