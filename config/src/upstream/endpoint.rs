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
        /// `http://host:port` or `https://host:port`, without path, query or user; the port may be
        /// omitted. All endpoints of an upstream have the same scheme.
        "url" url: String,
        /// Relative share, 1 to 1000. Default 1.
        "weight" weight: Int<1, 1000>,
    }
    required ["url"]
}

/// The endpoints, and whether they use TLS; unknown when none of them could be parsed.
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
                "http and https endpoints cannot be mixed: some requests would be sent unencrypted";
            report.error(place, "mixed-schemes", message, "use two upstreams");
        }
        endpoints.push(endpoint);
    }
    (endpoints, all)
}

/// An endpoint, and whether it uses TLS.
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
        let message = "a path, query or fragment in the URL is not allowed here";
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

/// Renders an accepted item.
pub(crate) fn show(scheme: &str, endpoint: &EndpointSpec) -> Value {
    let url = format!("{scheme}://{}", endpoint.authority);
    Object::new()
        .with("url", url)
        .with("weight", endpoint.weight)
        .into()
}
