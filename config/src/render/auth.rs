//! What routes ask of their clients.

use serde_json::{Map, Value};

use crate::{
    block::show::{Object, text, time, word},
    model::{
        Auth, Authorize, AuthorizeRule, ClaimMatch, ClientTls, Config, Credential, ExtAuth, ProviderId,
        Requirement, ValueMatch,
    },
    render::tls,
    validate::claim_path,
};

pub(crate) fn auth(config: &Config, auth: &Auth) -> Value {
    let provider = |id: &ProviderId| -> Value { (*config.jwt_provider(*id).name).into() };
    let credential = |credential: &Credential| match credential {
        Credential::Token(id) => provider(id),
        Credential::Mtls => "mtls".into(),
    };
    let (key, names): (_, Vec<Value>) = match &auth.requirement {
        Requirement::None => return "none".into(),
        Requirement::AnyOf(credentials) => ("anyOf", credentials.iter().map(credential).collect()),
        Requirement::AllOf(credentials) => ("allOf", credentials.iter().map(credential).collect()),
        Requirement::Optional(providers) => ("optional", providers.iter().map(provider).collect()),
    };
    Object::new().with(key, names).with("mode", word(auth.mode)).into()
}

pub(crate) fn authorize(authorize: &Authorize) -> Object {
    let rules: Vec<Value> = authorize.rules.iter().map(rule).collect();
    Object::new().with("mode", word(authorize.mode)).with("rules", rules)
}

fn rule(rule: &AuthorizeRule) -> Value {
    let cert = list(&rule.subject_alt_names, |name| text(name.as_str()));
    let ranges = list(&rule.source_cidrs, |range| format!("{}/{}", range.network, range.prefix).into());
    let when = Object::new()
        .maybe("methods", list(&rule.methods, |method| method.as_str().into()))
        .maybe("scopes", list(&rule.scopes, |scope| text(scope)))
        .maybe("claims", claims(&rule.claims))
        .maybe("clientCert", cert.map(|names| Object::new().with("subjectAltNames", names)))
        .maybe("sourceCIDRs", ranges);
    Object::new()
        .with("name", &*rule.name)
        .with("action", word(rule.action))
        .maybe("when", (!when.is_empty()).then_some(when))
        .into()
}

/// Claims by name; one value stands alone, several in a list.
pub(crate) fn claims(claims: &[ClaimMatch]) -> Option<Map<String, Value>> {
    let one = |claim: &ClaimMatch| {
        let value = match &claim.any_of[..] {
            [value] => value_match(value),
            values => values.iter().map(value_match).collect(),
        };
        (claim_path(&claim.claim), value)
    };
    (!claims.is_empty()).then(|| claims.iter().map(one).collect())
}

pub(crate) fn value_match(value: &ValueMatch) -> Value {
    match value {
        ValueMatch::Exact(value) => text(value),
        ValueMatch::Regex(pattern) => Object::new().with("regex", text(pattern.as_str())).into(),
        ValueMatch::Present => Object::new().with("present", true).into(),
    }
}

pub(crate) fn ext_auth(service: &ExtAuth) -> Object {
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    let tls = service.tls.as_deref().filter(|tls| **tls != ClientTls::default());
    Object::new()
        .with("url", text(&format!("{scheme}://{}{}", service.endpoint.authority, service.path)))
        .maybe("tls", tls.map(tls::client))
        .with("timeout", time(service.timeout))
        .with("onError", word(service.on_error))
        .maybe("requestHeaders", list(&service.request_headers, |name| name.as_str().into()))
        .maybe("responseHeaders", list(&service.response_headers, |name| name.as_str().into()))
        .with("includeQuery", service.include_query)
        .with("includeClientAddress", service.include_client_address)
}

pub(crate) fn list<T>(items: &[T], show: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    (!items.is_empty()).then(|| items.iter().map(show).collect())
}
