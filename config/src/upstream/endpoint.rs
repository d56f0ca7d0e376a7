//! `endpoints` of an upstream.

use serde_json::Value;

use crate::{
    block::{
        At, Int, block,
        field::{narrow, number},
        problem::Report,
        show::Object,
    },
    part::url::{self, EndpointSpec},
};

block! {
    /// One endpoint.
    EndpointBlock {
        /// `http://host:port` or `https://host:port`, without path, query or user; the port may be left out. All endpoints of an upstream have the same scheme.
        "url" url: String,
        /// Relative share, 1 to 1000. Default 1.
        "weight" weight: Int<1, 1000>,
    }
    required ["url"]
}

/// What the endpoints are, and whether TLS is spoken to them; unknown when none of them could be read.
pub(crate) fn accept(
    items: &[At<EndpointBlock>],
    report: &mut Report,
) -> (Vec<EndpointSpec>, Option<bool>) {
    let mut endpoints = Vec::with_capacity(items.len());
    let mut all: Option<bool> = None;
    for item in items {
        let Some((endpoint, secure)) = endpoint(&item.value, report) else {
            continue;
        };
        if *all.get_or_insert(secure) != secure {
            let place = item
                .value
                .url
                .as_ref()
                .map_or(&item.place, |url| &url.place);
            let message =
                "http and https do not mix: what is secret would go out in the clear by chance";
            report.error(place, "mixed-schemes", message, "make two upstreams of it");
        }
        endpoints.push(endpoint);
    }
    (endpoints, all)
}

/// An endpoint, and whether TLS is spoken to it.
fn endpoint(block: &EndpointBlock, report: &mut Report) -> Option<(EndpointSpec, bool)> {
    let url = block.url.as_ref()?;
    let parsed = match url::parse(&url.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&url.value, "http://host:port", &url.place, report);
            return None;
        }
    };
    if !matches!(parsed.tail, "" | "/") {
        let scheme = if parsed.secure { "https" } else { "http" };
        let message = "a URL here has no path, query or fragment";
        let help = format!(
            "write {scheme}://{}; `urlRewrite` of a route changes the path",
            parsed.authority
        );
        report.error(&url.place, "bad-url", message, help);
        return None;
    }
    let weight = narrow(number(&block.weight, 1));
    let endpoint = EndpointSpec {
        address: parsed.address,
        authority: parsed.authority.into(),
        weight,
    };
    Some((endpoint, parsed.secure))
}

/// Shows one that was accepted.
pub(crate) fn show(scheme: &str, endpoint: &EndpointSpec) -> Value {
    let url = format!("{scheme}://{}", endpoint.authority);
    Object::new()
        .with("url", url)
        .with("weight", endpoint.weight)
        .into()
}
