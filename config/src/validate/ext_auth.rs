//! `extAuth` of routes.

use http::{HeaderName, header, uri::PathAndQuery};

use crate::{
    block::{
        At,
        field::{flag, time_over_zero, word},
        problem::Report,
    },
    files::Files,
    model::{ExtAuth, JwtProvider},
    part::{
        headers, path,
        url::{self, EndpointSpec},
        words::OnError,
    },
    schema::ExtAuthBlock,
    validate::{defaults, tls},
};

/// Checks the service that a route asks. `None` was reported.
pub(crate) fn ext_auth(
    block: &ExtAuthBlock,
    providers: &[JwtProvider],
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<ExtAuth> {
    let request_headers = names(block.request_headers.as_ref(), not_sent, report);
    let response_headers =
        names(block.response_headers.as_ref(), |name| not_handed_on(name, providers), report);
    let timeout = time_over_zero(&block.timeout, defaults::EXT_AUTH_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Deny);
    if let Some(written) = block.on_error.as_ref().filter(|_| on_error == OnError::Allow) {
        let message = "whoever makes this service fail or wait gets past it";
        report.warning(&written.place, "fails-open", message, "write onError: deny, or leave it out");
    }
    let (endpoint, secure, path) = endpoint(block.url.as_ref()?, report)?;
    let tls = tls::client::of_url(block.tls.as_ref(), secure, "https", files, report);
    Some(ExtAuth {
        endpoint,
        tls,
        path: path.into(),
        timeout,
        on_error,
        request_headers,
        response_headers,
        include_query: flag(&block.include_query, false),
        include_client_address: flag(&block.include_client_address, false),
    })
}

/// Checks header names of one list. `forbidden` says why a name cannot stand there, and what to do instead.
fn names(
    written: Option<&At<Vec<At<String>>>>,
    forbidden: impl Fn(&HeaderName) -> Option<&'static str>,
    report: &mut Report,
) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for item in written.map_or(&[][..], |written| &written.value) {
        let Some(name) = headers::parse_name(&item.value, &item.place, report) else { continue };
        if let Some(help) = forbidden(&name) {
            report.error(&item.place, "forbidden-header", format!("`{name}` cannot stand here"), help);
        }
        headers::once(names.contains(&name), &item.place, report);
        names.push(name);
    }
    names
}

/// Why a header of the client is not sent to the service.
fn not_sent(name: &HeaderName) -> Option<&'static str> {
    match *name {
        header::HOST => Some("remove it: the service sees the host as x-forwarded-host"),
        header::EXPECT => Some("remove it: the request to the service has no body"),
        _ => headers::not_the_apps(name),
    }
}

/// Why a header of the service's answer is not handed on.
fn not_handed_on(name: &HeaderName, providers: &[JwtProvider]) -> Option<&'static str> {
    match *name {
        header::HOST => Some("use `urlRewrite.hostname` for the Host sent on"),
        header::EXPECT => Some("remove it: only the client knows whether it waits"),
        header::LOCATION | header::WWW_AUTHENTICATE => {
            Some("remove it: it means nothing to the app, and a denial hands it to the client anyway")
        }
        _ if carries_claims(name, providers) => Some("`claimHeaders` owns it; use another name"),
        _ => headers::not_the_apps(name),
    }
}

/// Whether claims are sent to the app under this name, or one that reads like it.
fn carries_claims(name: &HeaderName, providers: &[JwtProvider]) -> bool {
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let mut carried = providers.iter().flat_map(|provider| &provider.claim_headers);
    carried.any(|header| dashed(&header.name) == dashed(name))
}

/// Where it is, whether TLS is spoken to it, and what is asked for.
fn endpoint(written: &At<String>, report: &mut Report) -> Option<(EndpointSpec, bool, String)> {
    let parsed = match url::parse(&written.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&written.value, "http://host:port/path", &written.place, report);
            return None;
        }
    };
    // A query may follow the host at once.
    let target =
        if parsed.tail.starts_with('/') { parsed.tail.to_owned() } else { format!("/{}", parsed.tail) };
    if target.contains('#') || target.parse::<PathAndQuery>().is_err() {
        let message = format!("{:?} is not a URL to ask", written.value);
        report.error(&written.place, "bad-url", message, "write http://host:port/path, without a fragment");
        return None;
    }
    path::target(&At { value: target.clone(), place: written.place.clone() }, report);
    let endpoint = EndpointSpec { address: parsed.address, authority: parsed.authority.into(), weight: 1 };
    Some((endpoint, parsed.secure, target))
}
