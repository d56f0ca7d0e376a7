//! `extAuth` of a route: a service that is asked about every request.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, header, uri::PathAndQuery};

use crate::{
    block::{
        At, Flag, Time, Word, block,
        field::{flag, time_over_zero, word},
        problem::Report,
        show::{self, Object, list, text, time},
    },
    files::Files,
    part::{
        headers, path,
        url::{self, EndpointSpec},
        words::OnError,
    },
    provider::JwtProvider,
    tls::client::{self, ClientTls, UpstreamTlsBlock},
};

block! {
    /// A service that is asked about every request: 2xx lets it go on, anything else is the answer.
    ExtAuthBlock {
        /// Where it is asked, such as `http://127.0.0.1:8181/v1/check`, or with https.
        "url" url: String,
        /// TLS towards it, where the URL begins with https: who is believed, and what is shown.
        "tls" tls: UpstreamTlsBlock,
        /// From the start of the connect to the whole answer, over 0. Default 200ms.
        "timeout" timeout: Time,
        /// What happens without an answer: `deny` (503) or `allow`. Default deny.
        "onError" on_error: Word<OnError>,
        /// Headers of the request that are sent to the service, beside `authorization`. One of `claimHeaders` has the claim of the verified token. Default none.
        "requestHeaders" request_headers: Vec<At<String>>,
        /// Headers of a 2xx answer that are handed on: `set-cookie` to the client, every other one to the app. What clients send under such a name never reaches the app. Default none.
        "responseHeaders" response_headers: Vec<At<String>>,
        /// Whether `x-forwarded-uri` has the query string. Default false.
        "includeQuery" include_query: Flag,
        /// Whether the client's address is sent, as `x-forwarded-for`. Default false.
        "includeClientAddress" include_client_address: Flag,
    }
    required ["url"]
}

/// `extAuth`: a service that is asked about every request of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtAuth {
    /// Where it is.
    pub endpoint: EndpointSpec,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<ClientTls>>,
    /// What is asked for there, in origin form.
    pub path: Arc<str>,
    /// From the start of the connect to the whole answer. Default 200 ms.
    pub timeout: Duration,
    /// What happens when it gives no answer. Default deny.
    pub on_error: OnError,
    /// Headers of the request that are sent to it, beside `authorization`.
    pub request_headers: Vec<HeaderName>,
    /// Headers of a 2xx answer that are handed on: `set-cookie` to the client, the others to the app.
    pub response_headers: Vec<HeaderName>,
    /// Whether it sees the query string.
    pub include_query: bool,
    /// Whether it sees the client's address.
    pub include_client_address: bool,
}

impl ExtAuth {
    /// Host of what is asked.
    pub fn host(&self) -> &str {
        self.tls
            .as_ref()
            .and_then(|tls| tls.hostname.as_deref())
            .unwrap_or(&self.endpoint.authority)
    }
}

/// A service beside the app answers in a few milliseconds; clients wait for it.
const EXT_AUTH_TIMEOUT: Duration = Duration::from_millis(200);

/// Checks the service that a route asks. `None` was reported.
pub(crate) fn accept(
    block: &ExtAuthBlock,
    providers: &[JwtProvider],
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<ExtAuth> {
    let request_headers = names(block.request_headers.as_ref(), not_sent, report);
    let response_headers = names(
        block.response_headers.as_ref(),
        |name| not_handed_on(name, providers),
        report,
    );
    let timeout = time_over_zero(&block.timeout, EXT_AUTH_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Deny);
    if let Some(written) = block
        .on_error
        .as_ref()
        .filter(|_| on_error == OnError::Allow)
    {
        let message = "whoever makes this service fail or wait gets past it";
        report.warning(
            &written.place,
            "fails-open",
            message,
            "write onError: deny, or leave it out",
        );
    }
    let (endpoint, secure, path) = endpoint(block.url.as_ref()?, report)?;
    let tls = client::of_url(block.tls.as_ref(), secure, "https", files, report);
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
        let Some(name) = headers::parse_name(&item.value, &item.place, report) else {
            continue;
        };
        if let Some(help) = forbidden(&name) {
            report.error(
                &item.place,
                "forbidden-header",
                format!("`{name}` cannot stand here"),
                help,
            );
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
        header::LOCATION | header::WWW_AUTHENTICATE => Some(
            "remove it: it means nothing to the app, and a denial hands it to the client anyway",
        ),
        _ if carries_claims(name, providers) => Some("`claimHeaders` owns it; use another name"),
        _ => headers::not_the_apps(name),
    }
}

/// Whether claims are sent to the app under this name, or one that reads like it.
fn carries_claims(name: &HeaderName, providers: &[JwtProvider]) -> bool {
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let mut carried = providers
        .iter()
        .flat_map(|provider| &provider.claim_headers);
    carried.any(|header| dashed(&header.name) == dashed(name))
}

/// Where it is, whether TLS is spoken to it, and what is asked for.
fn endpoint(written: &At<String>, report: &mut Report) -> Option<(EndpointSpec, bool, String)> {
    let parsed = match url::parse(&written.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(
                &written.value,
                "http://host:port/path",
                &written.place,
                report,
            );
            return None;
        }
    };
    // A query may follow the host at once.
    let target = if parsed.tail.starts_with('/') {
        parsed.tail.to_owned()
    } else {
        format!("/{}", parsed.tail)
    };
    if target.contains('#') || target.parse::<PathAndQuery>().is_err() {
        let message = format!("{:?} is not a URL to ask", written.value);
        report.error(
            &written.place,
            "bad-url",
            message,
            "write http://host:port/path, without a fragment",
        );
        return None;
    }
    path::target(
        &At {
            value: target.clone(),
            place: written.place.clone(),
        },
        report,
    );
    let endpoint = EndpointSpec {
        address: parsed.address,
        authority: parsed.authority.into(),
        weight: 1,
    };
    Some((endpoint, parsed.secure, target))
}

/// Shows what was accepted.
pub(crate) fn show(service: &ExtAuth) -> Object {
    let scheme = if service.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let tls = service
        .tls
        .as_deref()
        .filter(|tls| **tls != ClientTls::default());
    Object::new()
        .with(
            "url",
            text(&format!(
                "{scheme}://{}{}",
                service.endpoint.authority, service.path
            )),
        )
        .maybe("tls", tls.map(client::show))
        .with("timeout", time(service.timeout))
        .with("onError", show::word(service.on_error))
        .maybe(
            "requestHeaders",
            list(&service.request_headers, |name| name.as_str().into()),
        )
        .maybe(
            "responseHeaders",
            list(&service.response_headers, |name| name.as_str().into()),
        )
        .with("includeQuery", service.include_query)
        .with("includeClientAddress", service.include_client_address)
}
