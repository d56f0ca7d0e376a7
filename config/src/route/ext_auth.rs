//! `extAuth` of a route: an external authorization service.

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
    /// External authorization service, called for every request: a 2xx response allows the request,
    /// any other response is sent to the client.
    ExtAuthBlock {
        /// URL of the service, such as `http://127.0.0.1:8181/v1/check`, or with https.
        "url" url: String,
        /// TLS with the service, for https URLs: trusted CAs and client certificate.
        "tls" tls: UpstreamTlsBlock,
        /// From the start of the connect to the complete response, over 0. Default 200ms.
        "timeout" timeout: Time,
        /// What happens when the service does not respond: `deny` (503) or `allow`. Default deny.
        "onError" on_error: Word<OnError>,
        /// Request headers that are sent to the service, in addition to `authorization`. A header
        /// in `claimHeaders` contains the claim of the verified token. Default none.
        "requestHeaders" request_headers: Vec<At<String>>,
        /// Headers of a 2xx response that are passed on: `set-cookie` to the client, all others to
        /// the app. Client headers of these names never reach the app. Default none.
        "responseHeaders" response_headers: Vec<At<String>>,
        /// Whether `x-forwarded-uri` contains the query string. Default false.
        "includeQuery" include_query: Flag,
        /// Whether the client address is sent, as `x-forwarded-for`. Default false.
        "includeClientAddress" include_client_address: Flag,
    }
    required ["url"]
}

/// `extAuth`: an external authorization service for every request of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtAuth {
    /// Its address.
    pub endpoint: EndpointSpec,
    /// TLS, if used.
    pub tls: Option<Arc<ClientTls>>,
    /// The path and query of its URL, in origin form.
    pub path: Arc<str>,
    /// From the start of the connect to the complete response. Default 200 ms.
    pub timeout: Duration,
    /// What happens when it does not respond. Default deny.
    pub on_error: OnError,
    /// Request headers that are sent to it, in addition to `authorization`.
    pub request_headers: Vec<HeaderName>,
    /// Headers of a 2xx response that are passed on: `set-cookie` to the client, all others to the
    /// app.
    pub response_headers: Vec<HeaderName>,
    /// Whether the query string is sent to it.
    pub include_query: bool,
    /// Whether the client address is sent to it.
    pub include_client_address: bool,
}

impl ExtAuth {
    /// Host of the service.
    pub fn host(&self) -> &str {
        self.tls
            .as_ref()
            .and_then(|tls| tls.hostname.as_deref())
            .unwrap_or(&self.endpoint.authority)
    }
}

/// A service on the same host responds in a few milliseconds; clients wait for it.
const EXT_AUTH_TIMEOUT: Duration = Duration::from_millis(200);

/// Validates the service of a route. `None` when a problem was reported.
pub(crate) fn accept(
    block: &ExtAuthBlock,
    providers: &[JwtProvider],
    files: &mut Files<'_>,
    report: &mut Report,
) -> Option<ExtAuth> {
    let request_headers = names(block.request_headers.as_ref(), why_not_sent, report);
    let response_headers = names(
        block.response_headers.as_ref(),
        |name| why_not_passed_on(name, providers),
        report,
    );
    let timeout = time_over_zero(&block.timeout, EXT_AUTH_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Deny);
    if let Some(written) = block
        .on_error
        .as_ref()
        .filter(|_| on_error == OnError::Allow)
    {
        let message = "a client that makes this service fail or time out bypasses it";
        report.warning(
            &written.place,
            "fails-open",
            message,
            "write onError: deny, or remove the key",
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

/// Validates the header names of a list. `forbidden` returns why a name is not allowed, and what to
/// do instead.
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
                format!("`{name}` is not allowed here"),
                help,
            );
        }
        headers::once(names.contains(&name), &item.place, report);
        names.push(name);
    }
    names
}

/// Why a client header is not sent to the service.
fn why_not_sent(name: &HeaderName) -> Option<&'static str> {
    match *name {
        header::HOST => Some("remove it: the service sees the host as x-forwarded-host"),
        header::EXPECT => Some("remove it: the request to the service has no body"),
        _ => headers::why_not_for_the_app(name),
    }
}

/// Why a header of the service's response is not passed on.
fn why_not_passed_on(name: &HeaderName, providers: &[JwtProvider]) -> Option<&'static str> {
    match *name {
        header::HOST => Some("use `urlRewrite.hostname` for the Host sent on"),
        header::EXPECT => Some("remove it: it concerns only the client's connection"),
        header::LOCATION | header::WWW_AUTHENTICATE => {
            Some("remove it: the app does not use it, and a denied client gets it anyway")
        }
        _ if carries_claims(name, providers) => Some("`claimHeaders` owns it; use another name"),
        _ => headers::why_not_for_the_app(name),
    }
}

/// Whether this name, or an equivalent spelling, carries claims to the app.
fn carries_claims(name: &HeaderName, providers: &[JwtProvider]) -> bool {
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let mut carried = providers
        .iter()
        .flat_map(|provider| &provider.claim_headers);
    carried.any(|header| dashed(&header.name) == dashed(name))
}

/// Its address, whether TLS is used, and the path.
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
    // A query may follow the host directly.
    let target = if parsed.tail.starts_with('/') {
        parsed.tail.to_owned()
    } else {
        format!("/{}", parsed.tail)
    };
    if target.contains('#') || target.parse::<PathAndQuery>().is_err() {
        let message = format!("{:?} is not a valid URL for `extAuth`", written.value);
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

/// Renders the accepted value.
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
