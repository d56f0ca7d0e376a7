//! `extAuth` of routes.

use http::uri::PathAndQuery;

use super::{
    defaults, path, tls, url,
    value::{time_over_zero, word},
};
use crate::{
    files::Files,
    model::{EndpointSpec, ExtAuth, OnError},
    problem::Report,
    schema::{At, ExtAuthBlock},
};

/// Checks the service that a route asks. `None` was reported.
pub(super) fn ext_auth(block: &ExtAuthBlock, files: &mut Files<'_>, report: &mut Report) -> Option<ExtAuth> {
    let timeout = time_over_zero(&block.timeout, defaults::EXT_AUTH_TIMEOUT, report);
    let on_error = word(&block.on_error, OnError::Deny);
    if let Some(written) = block.on_error.as_ref().filter(|_| on_error == OnError::Allow) {
        let message = "whoever makes this service fail or wait gets past it";
        report.warning(&written.place, "fails-open", message, "write onError: deny, or leave it out");
    }
    let (endpoint, secure, path) = endpoint(block.url.as_ref()?, report)?;
    let tls = tls::client::of_url(block.tls.as_ref(), secure, "https", files, report);
    Some(ExtAuth { endpoint, tls, path: path.into(), timeout, on_error })
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
