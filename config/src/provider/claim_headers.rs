//! `claimHeaders` of a token provider: claims that are sent to the app as headers.

use http::HeaderName;
use serde_json::Value;

use crate::{
    block::{At, Entries, OneOrMany, problem::Report, show::text},
    part::{
        claim::{self, ClaimPath, written as claim_path},
        headers,
    },
};

/// One entry of `claimHeaders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimHeader {
    /// The header, which is removed from all client requests.
    pub name: HeaderName,
    /// The claim that it carries.
    pub claim: ClaimPath,
}

impl ClaimHeader {
    /// A claim as a header.
    pub fn new(name: HeaderName, claim: ClaimPath) -> Self {
        Self { name, claim }
    }
}

/// Validates the block.
pub(crate) fn accept(
    written: Option<&At<Entries<OneOrMany<String>>>>,
    report: &mut Report,
) -> Vec<ClaimHeader> {
    let mut found: Vec<ClaimHeader> = Vec::new();
    for (key, claim) in written.map_or(&[][..], |written| &written.value.0) {
        let claim = claim::path_value(claim, report);
        let Some(name) = headers::parse_name(&key.value, &key.place, report) else {
            continue;
        };
        if let Some(help) = why_not_for_claims(&name) {
            let message = format!("the header `{name}` cannot carry a claim");
            report.error(&key.place, "forbidden-header", message, help);
        }
        if found.iter().any(|other| other.name == name) {
            let help = "header names are case-insensitive; keep one";
            report.error(
                &key.place,
                "duplicate-key",
                "this header is listed twice",
                help,
            );
        }
        found.extend(claim.map(|claim| ClaimHeader::new(name, claim)));
    }
    found
}

/// Why a header cannot carry a claim; headers with claims are removed from all client requests.
fn why_not_for_claims(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "host" | "authorization" | "cookie" | "origin" | "content-type" | "expect" | "accept" => {
            Some("clients use it for another purpose; use a name such as x-user-id")
        }
        name if name.contains('_') => {
            Some("many apps treat `_` like `-`, so clients could set it too; use `-`")
        }
        name if name.starts_with("access-control-") => {
            Some("it belongs to CORS; use a name such as x-user-id")
        }
        _ => headers::why_not_for_the_app(name),
    }
}

/// Renders an accepted item.
pub(crate) fn show(header: &ClaimHeader) -> (String, Value) {
    (header.name.to_string(), text(&claim_path(&header.claim)))
}
