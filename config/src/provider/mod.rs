//! `jwtProviders`: issuers of tokens; each of its blocks has a file of its own.

pub(crate) mod claim_headers;
pub(crate) mod jwks;
pub(crate) mod keys;
pub(crate) mod location;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, header::AUTHORIZATION};
use serde_json::{Map, Value};

use crate::{
    block::{
        At, Entries, Flag, OneOrMany, Time, Word, block,
        field::{Field, flag, time, time_or_off, word},
        name,
        problem::Report,
        show::{self, Object, path, text},
        word_of, words,
    },
    files::Files,
    listener::Listener,
    part::algorithm::JwtAlgorithm,
    provider::{
        claim_headers::ClaimHeader,
        keys::{JwksBlock, KeySource},
        location::{TokenLocation, TokenLocationBlock},
    },
    secret::{self, SecretSpec},
};

block! {
    /// An issuer of tokens, and the requirements for its tokens. Without `jwks` and `secret`, its
    /// keys are found by OpenID Connect discovery.
    JwtProviderBlock {
        /// `iss` of its tokens, compared byte by byte; unique among providers.
        "issuer" issuer: String,
        /// Accepted audiences: `aud` of a token must contain one of these.
        "audiences" audiences: Vec<At<String>>,
        /// Accepted signature algorithms. Default: all asymmetric ones (each fits one type of key
        /// only); HS256 with `secret`.
        "algorithms" algorithms: Vec<At<Word<JwtAlgorithm>>>,
        /// Source of its public keys. Default: OpenID Connect discovery at `issuer` +
        /// `/.well-known/openid-configuration`.
        "jwks" jwks: JwksBlock,
        /// The shared secret for HS256, HS384 and HS512, at least as long as the hash (32, 48, 64
        /// bytes).
        "secret" secret: SecretSpec,
        /// Accepted values of `typ`, case-insensitive; a token without `typ` is accepted. Default
        /// `[JWT, at+jwt]`.
        "tokenTypes" token_types: Vec<At<String>>,
        /// Accepted clock skew for `exp`, `nbf` and `iat`, at most 300s. Default 30s.
        "clockSkew" clock_skew: Time,
        /// Maximum time from `iat` to `exp`; a token without `iat` is then rejected. Default 0s,
        /// which is off.
        "maxLifetime" max_lifetime: Time,
        /// Whether a token must be bound to the client certificate by `cnf` (RFC 8705): `never`
        /// (`cnf` is ignored), `whenPresent` or `required`. Default whenPresent.
        "binding" binding: Word<TokenBinding>,
        /// Locations of the token; the first one that is present is used. Default: the
        /// Authorization header with the scheme Bearer.
        "from" from: Vec<At<TokenLocationBlock>>,
        /// Whether the token is forwarded to the app. Default false.
        "forwardToken" forward_token: Flag,
        /// Headers that carry claims to the app, such as `x-tenant: org.tenant`. They are removed
        /// from all client requests, on every route. A claim name with dots is written `'["a.b"]'`.
        "claimHeaders" claim_headers: Entries<OneOrMany<String>>,
    }
    required ["issuer", "audiences"]
}

/// One entry of `jwtProviders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtProvider {
    /// Unique name.
    pub name: Arc<str>,
    /// `iss` of its tokens, compared byte by byte.
    pub issuer: Arc<str>,
    /// `aud` must contain one of these; at least one.
    pub audiences: Vec<Arc<str>>,
    /// Accepted algorithms; all asymmetric, or all symmetric.
    pub algorithms: Vec<JwtAlgorithm>,
    /// The source of its keys.
    pub keys: KeySource,
    /// Accepted values of `typ`, lower case and without `application/`; a token without `typ` is
    /// always accepted. Default `jwt`, `at+jwt`.
    pub token_types: Vec<Arc<str>>,
    /// Accepted clock skew for `exp`, `nbf` and `iat`. Default 30 s, at most 300 s.
    pub clock_skew: Duration,
    /// Maximum time from `iat` to `exp`; `None` is unlimited.
    pub max_lifetime: Option<Duration>,
    /// Whether tokens must be bound to the client certificate (RFC 8705). Default when present.
    pub binding: TokenBinding,
    /// Locations of the token; the first one that is present is used. Default: the Authorization
    /// header, scheme Bearer.
    pub from: Vec<TokenLocation>,
    /// Whether the token is forwarded to the app. Default false.
    pub forward_token: bool,
    /// Claims that are sent to the app as headers.
    pub claim_headers: Vec<ClaimHeader>,
}

impl JwtProvider {
    /// A provider with all defaults; the other fields are public.
    pub fn new(
        name: Arc<str>,
        issuer: Arc<str>,
        audiences: Vec<Arc<str>>,
        keys: KeySource,
    ) -> Self {
        Self {
            name,
            issuer,
            audiences,
            algorithms: JwtAlgorithm::ASYMMETRIC.to_vec(),
            keys,
            token_types: vec!["jwt".into(), "at+jwt".into()],
            clock_skew: Duration::from_secs(30),
            max_lifetime: None,
            binding: TokenBinding::WhenPresent,
            from: vec![TokenLocation::Header {
                name: AUTHORIZATION,
                scheme: Some("Bearer".into()),
            }],
            forward_token: false,
            claim_headers: Vec::new(),
        }
    }
}

/// Whether tokens must be bound to the client certificate by `cnf` (RFC 8705 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenBinding {
    /// `cnf` is ignored.
    Never,
    /// A token with `cnf` requires the certificate that it names.
    WhenPresent,
    /// A token without `cnf` is rejected.
    Required,
}

words! {
    TokenBinding { "never" => Never, "whenPresent" => WhenPresent, "required" => Required }
}

/// `docs/security.md` 13.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Media types in `typ` are short; this rejects obvious mistakes.
const MAX_TOKEN_TYPE: usize = 100;

/// All providers, in file order.
pub(crate) fn accept(
    written: Option<&At<Entries<JwtProviderBlock>>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<JwtProvider> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.0.is_empty() {
        let help = "add a provider, or remove the key for routes without tokens";
        report.error(
            &written.place,
            "empty-list",
            "the list of token providers is empty",
            help,
        );
    }
    let mut providers = Vec::with_capacity(written.value.0.len());
    for (key, block) in &written.value.0 {
        name::check(&key.value, &key.place, report);
        name::not_reserved(&key.value, &key.place, report);
        providers.push(provider(&key.value, &block.value, files, report));
    }
    check_unique_issuers(written, report);
    check_token_headers(written, &providers, report);
    providers
}

fn provider(
    name: &str,
    block: &JwtProviderBlock,
    files: &mut Files<'_>,
    report: &mut Report,
) -> JwtProvider {
    let algorithms = algorithms(block, report);
    let written = keys::KeySettings {
        secret: block.secret.as_ref(),
        jwks: block.jwks.as_ref(),
        issuer: block.issuer.as_ref(),
    };
    let keys = keys::accept(&written, &algorithms, files, report);
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
        provider.from = location::accept(written, report);
    }
    provider.forward_token = flag(&block.forward_token, provider.forward_token);
    provider.claim_headers = claim_headers::accept(block.claim_headers.as_ref(), report);
    provider
}

fn issuer(block: &JwtProviderBlock, report: &mut Report) -> Arc<str> {
    let Some(issuer) = &block.issuer else {
        return "".into();
    };
    if issuer.value.trim() != issuer.value || issuer.value.is_empty() {
        let message = "the issuer is empty, or has spaces at the start or end";
        report.error(
            &issuer.place,
            "bad-issuer",
            message,
            "write the value of `iss` in its tokens",
        );
    }
    issuer.value.as_str().into()
}

fn texts(written: Option<&At<Vec<At<String>>>>, what: &str, report: &mut Report) -> Vec<Arc<str>> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "add at least one, so that tokens for other services are rejected";
        report.error(
            &written.place,
            "empty-list",
            format!("the list of {what}s is empty"),
            help,
        );
    }
    let items = name::each_once(&written.value, report);
    for item in items.iter().filter(|item| item.value.is_empty()) {
        let help = "write the value in the token";
        report.error(
            &item.place,
            "bad-value",
            format!("an {what} must not be empty"),
            help,
        );
    }
    items
        .into_iter()
        .map(|item| item.value.as_str().into())
        .collect()
}

fn algorithms(block: &JwtProviderBlock, report: &mut Report) -> Vec<JwtAlgorithm> {
    let Some(written) = &block.algorithms else {
        // Each key is used only with algorithms of its own type, so allowing all of them is as safe
        // as allowing some.
        return if block.secret.is_some() {
            vec![JwtAlgorithm::Hs256]
        } else {
            JwtAlgorithm::ASYMMETRIC.to_vec()
        };
    };
    if written.value.is_empty() {
        let help = "add at least one, or remove the key for the default";
        report.error(
            &written.place,
            "empty-list",
            "the list of algorithms is empty",
            help,
        );
    }
    let mut algorithms: Vec<JwtAlgorithm> = Vec::new();
    for item in &written.value {
        let algorithm = item.value.0;
        if algorithms.contains(&algorithm) {
            let message = format!("{} is listed twice", word_of(algorithm));
            report.error(
                &item.place,
                "duplicate-reference",
                message,
                "remove one of them",
            );
            continue;
        }
        if algorithms
            .first()
            .is_some_and(|first| first.is_symmetric() != algorithm.is_symmetric())
        {
            // A public key must never be used as a shared secret.
            let message = "HS256, HS384 and HS512 cannot be combined with other algorithms";
            let help = "use one provider for the shared secret and another one for public keys";
            report.error(&item.place, "mixed-algorithms", message, help);
        }
        algorithms.push(algorithm);
    }
    match (
        algorithms.first().is_some_and(|first| first.is_symmetric()),
        &block.secret,
    ) {
        (true, None) => {
            let help = "add `secret: { file: … }` or `secret: { env: … }`";
            report.missing(
                &written.place,
                &["secret"],
                "HS256, HS384 and HS512 require a `secret`",
                help,
            );
        }
        (false, Some(secret)) if !algorithms.is_empty() => {
            let message = "a `secret` is for HS256, HS384 and HS512 only";
            let help = "add one of these to `algorithms`, or replace the secret by `jwks`";
            report.error(&secret.place, "conflicting-keys", message, help);
        }
        _ => {}
    }
    algorithms
}

fn token_types(written: &At<Vec<At<String>>>, report: &mut Report) -> Vec<Arc<str>> {
    if written.value.is_empty() {
        let help = "add at least one, or remove the key for JWT and at+jwt";
        report.error(
            &written.place,
            "empty-list",
            "the list of token types is empty",
            help,
        );
    }
    let mut types: Vec<Arc<str>> = Vec::new();
    for item in &written.value {
        let lower = item.value.to_ascii_lowercase();
        // RFC 7515 section 4.1.9: `application/` may be left out.
        let short = lower.strip_prefix("application/").unwrap_or(&lower);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
        if short.is_empty() || short.len() > MAX_TOKEN_TYPE || !short.bytes().all(plain) {
            let message = format!("{:?} is not a valid token type", item.value);
            report.error(
                &item.place,
                "bad-value",
                message,
                "write for example JWT or at+jwt",
            );
        }
        if types.iter().any(|other| **other == *short) {
            let message = format!("the token type {:?} is listed twice", item.value);
            report.error(
                &item.place,
                "duplicate-reference",
                message,
                "token types are case-insensitive; remove one of them",
            );
            continue;
        }
        types.push(short.into());
    }
    types
}

fn clock_skew(written: &Field<Time>, default: Duration, report: &mut Report) -> Duration {
    let skew = time(written, default);
    if let Some(written) = written.as_ref().filter(|_| skew > MAX_CLOCK_SKEW) {
        let help = "write at most 300s, and synchronize the clocks";
        report.error(
            &written.place,
            "out-of-range",
            "`clockSkew` is more than the maximum of 300s",
            help,
        );
    }
    skew
}

/// A token that is bound to a certificate requires a listener that requests one.
pub(crate) fn check_bound_tokens(
    written: Option<&At<Entries<JwtProviderBlock>>>,
    listeners: &[Listener],
    report: &mut Report,
) {
    let asks = |listener: &Listener| {
        listener
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_auth.is_some())
    };
    for (_, block) in written.map_or(&[][..], |written| &written.value.0) {
        let binding = block
            .value
            .binding
            .as_ref()
            .filter(|binding| binding.value.0 == TokenBinding::Required);
        if let Some(binding) = binding.filter(|_| !listeners.iter().any(asks)) {
            let message =
                "tokens must be bound to a client certificate, but no listener requests one";
            let help = "add `tls.clientAuth` to a listener, or write binding: whenPresent";
            report.error(&binding.place, "no-client-auth", message, help);
        }
    }
}

/// Providers are selected by `iss`, so no two may have the same.
fn check_unique_issuers(written: &At<Entries<JwtProviderBlock>>, report: &mut Report) {
    let issuers: Vec<(&str, &At<String>)> = written
        .value
        .0
        .iter()
        .filter_map(|(key, block)| {
            block
                .value
                .issuer
                .as_ref()
                .map(|issuer| (key.value.as_str(), issuer))
        })
        .collect();
    for (index, (_, issuer)) in issuers.iter().enumerate() {
        if let Some((name, _)) = issuers[..index]
            .iter()
            .find(|(_, other)| other.value == issuer.value)
        {
            let message = format!("`{name}` has the same issuer, which must be unique");
            let help = "merge the two providers; `audiences` is a list";
            report.error(&issuer.place, "duplicate-issuer", message, help);
        }
    }
}

/// A header that carries claims is removed from client requests, so it cannot contain a token.
fn check_token_headers(
    written: &At<Entries<JwtProviderBlock>>,
    providers: &[JwtProvider],
    report: &mut Report,
) {
    let owned = |name: &HeaderName| {
        providers
            .iter()
            .flat_map(|provider| &provider.claim_headers)
            .any(|header| header.name == *name)
    };
    for (_, block) in &written.value.0 {
        for item in block
            .value
            .from
            .as_ref()
            .map_or(&[][..], |from| &from.value)
        {
            let Some(header) = &item.value.header else {
                continue;
            };
            let name = HeaderName::from_bytes(header.value.as_bytes());
            if name.is_ok_and(|name| owned(&name)) {
                let message = "`claimHeaders` removes this header from all client requests, so it never contains a token";
                let help = "use different headers";
                report.error(&header.place, "conflicting-keys", message, help);
            }
        }
    }
}

/// The provider and its name.
pub(crate) fn show(provider: &JwtProvider) -> (String, Value) {
    let texts =
        |texts: &[Arc<str>]| -> Vec<Value> { texts.iter().map(|item| text(item)).collect() };
    let algorithms: Vec<Value> = provider
        .algorithms
        .iter()
        .map(|algorithm| show::word(*algorithm))
        .collect();
    let object = Object::new()
        .with("issuer", text(&provider.issuer))
        .with("audiences", texts(&provider.audiences))
        .with("algorithms", algorithms);
    let object = match &provider.keys {
        KeySource::Discovery(keys) => object.with("jwks", keys::show_remote(Object::new(), keys)),
        KeySource::Url(url, keys) => object.with(
            "jwks",
            keys::show_remote(Object::new().with("url", text(&url.to_string())), keys),
        ),
        KeySource::Text {
            file: Some(file), ..
        } => object.with("jwks", Object::new().with("file", path(file))),
        KeySource::Text { jwks, file: None } => {
            object.with("jwks", Object::new().with("inline", text(jwks)))
        }
        KeySource::Secret(secret) => object.with("secret", secret::show(secret.origin())),
    };
    let claims: Map<_, _> = provider
        .claim_headers
        .iter()
        .map(claim_headers::show)
        .collect();
    let object = object
        .with("tokenTypes", texts(&provider.token_types))
        .with("clockSkew", show::time(provider.clock_skew))
        .with("maxLifetime", show::time_or_off(provider.max_lifetime))
        .with("binding", show::word(provider.binding))
        .with(
            "from",
            provider
                .from
                .iter()
                .map(location::show)
                .collect::<Vec<Value>>(),
        )
        .with("forwardToken", provider.forward_token)
        .maybe("claimHeaders", (!claims.is_empty()).then_some(claims));
    (provider.name.to_string(), object.into())
}
