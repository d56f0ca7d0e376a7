//! `from` of a token provider: where a token may stand.

use std::sync::Arc;

use http::{HeaderName, header};
use serde_json::Value;

use crate::{
    block::{
        At, block,
        problem::Report,
        show::{Object, text},
    },
    part::headers::{self, is_token},
};

block! {
    /// Where a token may stand.
    TokenLocationBlock {
        /// A header.
        "header" header: String,
        /// The word in front of the token in that header, whatever its case. Default Bearer in Authorization, none elsewhere.
        "scheme" scheme: String,
        /// A cookie by name.
        "cookie" cookie: String,
    }
    one_of ["header", "cookie"]
}

/// Where a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// In a header, behind a scheme and a space when there is a scheme.
    Header {
        /// The header.
        name: HeaderName,
        /// The scheme; its case does not matter.
        scheme: Option<Arc<str>>,
    },
    /// In a cookie.
    Cookie(Arc<str>),
}

/// Checks what was written.
pub(crate) fn accept(
    written: &At<Vec<At<TokenLocationBlock>>>,
    report: &mut Report,
) -> Vec<TokenLocation> {
    if written.value.is_empty() {
        let help = "name a place, or remove the key for the Authorization header";
        report.error(&written.place, "empty-list", "a token stands nowhere", help);
    }
    let mut locations = Vec::new();
    for item in &written.value {
        let Some(location) = location(&item.value, report) else {
            continue;
        };
        if locations.contains(&location) {
            report.error(
                &item.place,
                "duplicate-reference",
                "this place is named twice",
                "name it once",
            );
        }
        locations.push(location);
    }
    locations
}

fn location(block: &TokenLocationBlock, report: &mut Report) -> Option<TokenLocation> {
    if let Some(cookie) = &block.cookie {
        if let Some(scheme) = &block.scheme {
            let help = "remove `scheme`";
            report.error(
                &scheme.place,
                "conflicting-keys",
                "a cookie has no scheme",
                help,
            );
        }
        if !is_token(&cookie.value) {
            let message = format!("{:?} is not the name of a cookie", cookie.value);
            report.error(
                &cookie.place,
                "bad-value",
                message,
                "use letters, digits, `-` and `_`",
            );
        }
        return Some(TokenLocation::Cookie(cookie.value.as_str().into()));
    }
    let written = block.header.as_ref()?;
    let name = headers::parse_name(&written.value, &written.place, report)?;
    let help = match name.as_str() {
        "cookie" => Some("write `cookie: NAME` with the name of the one cookie"),
        "set-cookie" | "host" => Some("use a header of its own"),
        _ => headers::not_the_apps(&name),
    };
    if let Some(help) = help {
        let message = format!("a token cannot stand in `{name}`");
        report.error(&written.place, "forbidden-header", message, help);
    }
    if let Some(scheme) = block
        .scheme
        .as_ref()
        .filter(|scheme| !is_token(&scheme.value))
    {
        let message = format!("{:?} is not a scheme", scheme.value);
        report.error(
            &scheme.place,
            "bad-value",
            message,
            "write one word, such as Bearer",
        );
    }
    let scheme = block.scheme.as_ref().map(|scheme| scheme.value.as_str());
    // RFC 9110 section 11.6.2: in Authorization there is always a scheme.
    let scheme = scheme.or_else(|| (name == header::AUTHORIZATION).then_some("Bearer"));
    Some(TokenLocation::Header {
        name,
        scheme: scheme.map(Into::into),
    })
}

/// Shows one that was accepted.
pub(crate) fn show(location: &TokenLocation) -> Value {
    match location {
        TokenLocation::Header { name, scheme } => Object::new()
            .with("header", name.as_str())
            .maybe("scheme", scheme.as_deref().map(text))
            .into(),
        TokenLocation::Cookie(name) => Object::new().with("cookie", text(name)).into(),
    }
}
