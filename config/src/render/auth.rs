//! What routes ask of their clients.

use serde_json::Value;

use crate::{
    block::show::{Object, list, text, time, word},
    model::{Auth, Authorize, AuthorizeRule, ClientTls, Config, Credential, ExtAuth, Requirement},
    part::{claim, id::ProviderId},
    render::tls,
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
        .maybe("claims", claim::show(&rule.claims))
        .maybe("clientCert", cert.map(|names| Object::new().with("subjectAltNames", names)))
        .maybe("sourceCIDRs", ranges);
    Object::new()
        .with("name", &*rule.name)
        .with("action", word(rule.action))
        .maybe("when", (!when.is_empty()).then_some(when))
        .into()
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
