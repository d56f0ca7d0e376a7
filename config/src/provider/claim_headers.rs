//! `claimHeaders` of a token provider: claims that the app gets as headers.

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
    /// The header, taken away from every client.
    pub name: HeaderName,
    /// The claim it carries.
    pub claim: ClaimPath,
}

impl ClaimHeader {
    /// A claim as a header.
    pub fn new(name: HeaderName, claim: ClaimPath) -> Self {
        Self { name, claim }
    }
}

/// Checks what was written.
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
        if let Some(help) = not_for_claims(&name) {
            let message = format!("a claim cannot be sent as `{name}`");
            report.error(&key.place, "forbidden-header", message, help);
        }
        if found.iter().any(|other| other.name == name) {
            let help = "names of headers have no case; keep one";
            report.error(
                &key.place,
                "duplicate-key",
                "this header stands here a second time",
                help,
            );
        }
        found.extend(claim.map(|claim| ClaimHeader::new(name, claim)));
    }
    found
}

/// Why a header, which is taken away from every client, carries no claim.
fn not_for_claims(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "host" | "authorization" | "cookie" | "origin" | "content-type" | "expect" | "accept" => {
            Some("clients send it for another reason; use a name of its own, such as x-user-id")
        }
        name if name.contains('_') => {
            Some("many apps read `_` as `-`, so that clients could send it too; use `-`")
        }
        name if name.starts_with("access-control-") => {
            Some("it belongs to CORS; use a name such as x-user-id")
        }
        _ => headers::not_the_apps(name),
    }
}

/// Shows one that was accepted.
pub(crate) fn show(header: &ClaimHeader) -> (String, Value) {
    (header.name.to_string(), text(&claim_path(&header.claim)))
}
