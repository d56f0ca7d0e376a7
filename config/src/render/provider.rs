//! Token providers. Of a secret only its place is shown.

use serde_json::{Map, Value};

use crate::{
    block::show::{Object, path, text, time, time_or_off, word},
    model::{ClaimHeader, JwtProvider, KeySource, RemoteKeys, SecretOrigin, SecretSource, TokenLocation},
    part::claim::written as claim_path,
};

/// The provider and its name.
pub(crate) fn provider(provider: &JwtProvider) -> (String, Value) {
    let texts =
        |texts: &[std::sync::Arc<str>]| -> Vec<Value> { texts.iter().map(|item| text(item)).collect() };
    let algorithms: Vec<Value> = provider.algorithms.iter().map(|algorithm| word(*algorithm)).collect();
    let object = Object::new()
        .with("issuer", text(&provider.issuer))
        .with("audiences", texts(&provider.audiences))
        .with("algorithms", algorithms);
    let object = match &provider.keys {
        KeySource::Discovery(keys) => object.with("jwks", remote(Object::new(), keys)),
        KeySource::Url(url, keys) => {
            object.with("jwks", remote(Object::new().with("url", text(&url.to_string())), keys))
        }
        KeySource::Text { file: Some(file), .. } => {
            object.with("jwks", Object::new().with("file", path(file)))
        }
        KeySource::Text { jwks, file: None } => object.with("jwks", Object::new().with("inline", text(jwks))),
        KeySource::Secret(secret) => object.with("secret", origin(secret.origin())),
    };
    let claims: Map<_, _> = provider.claim_headers.iter().map(claim_header).collect();
    let object = object
        .with("tokenTypes", texts(&provider.token_types))
        .with("clockSkew", time(provider.clock_skew))
        .with("maxLifetime", time_or_off(provider.max_lifetime))
        .with("binding", word(provider.binding))
        .with("from", provider.from.iter().map(location).collect::<Vec<Value>>())
        .with("forwardToken", provider.forward_token)
        .maybe("claimHeaders", (!claims.is_empty()).then_some(claims));
    (provider.name.to_string(), object.into())
}

fn remote(object: Object, keys: &RemoteKeys) -> Object {
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

pub(crate) fn origin(origin: Option<&SecretOrigin>) -> Value {
    match origin {
        Some(SecretOrigin::File(file)) => Object::new().with("file", path(file)).into(),
        Some(SecretOrigin::Env(name)) => Object::new().with("env", text(name)).into(),
        // One that was made without a file.
        None => "[redacted]".into(),
    }
}

fn location(location: &TokenLocation) -> Value {
    match location {
        TokenLocation::Header { name, scheme } => {
            Object::new().with("header", name.as_str()).maybe("scheme", scheme.as_deref().map(text)).into()
        }
        TokenLocation::Cookie(name) => Object::new().with("cookie", text(name)).into(),
    }
}

fn claim_header(header: &ClaimHeader) -> (String, Value) {
    (header.name.to_string(), text(&claim_path(&header.claim)))
}
