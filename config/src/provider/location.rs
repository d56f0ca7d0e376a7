//! `from` of a token provider: the location of tokens in a request.

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
    /// Location of a token in a request.
    TokenLocationBlock {
        /// A header.
        "header" header: String,
        /// The scheme before the token in that header, case-insensitive. Default Bearer in
        /// Authorization, none elsewhere.
        "scheme" scheme: String,
        /// The name of a cookie.
        "cookie" cookie: String,
    }
    one_of ["header", "cookie"]
}

/// Location of a token in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// In a header, after a scheme and a space if there is a scheme.
    Header {
        /// The header.
        name: HeaderName,
        /// The scheme, case-insensitive.
        scheme: Option<Arc<str>>,
    },
    /// In a cookie.
    Cookie(Arc<str>),
}

/// Validates the block.
pub(crate) fn accept(
    written: &At<Vec<At<TokenLocationBlock>>>,
    report: &mut Report,
) -> Vec<TokenLocation> {
    if written.value.is_empty() {
        let help = "add a location, or remove the key for the Authorization header";
        report.error(
            &written.place,
            "empty-list",
            "the list of token locations is empty",
            help,
        );
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
                "this location is listed twice",
                "remove one of them",
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
                "`scheme` cannot be used with `cookie`",
                help,
            );
        }
        if !is_token(&cookie.value) {
            let message = format!("{:?} is not a valid cookie name", cookie.value);
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
        "cookie" => Some("write `cookie: NAME` with the name of one cookie"),
        "set-cookie" | "host" => Some("use another header"),
        _ => headers::why_not_for_the_app(&name),
    };
    if let Some(help) = help {
        let message = format!("a token cannot be read from `{name}`");
        report.error(&written.place, "forbidden-header", message, help);
    }
    if let Some(scheme) = block
        .scheme
        .as_ref()
        .filter(|scheme| !is_token(&scheme.value))
    {
        let message = format!("{:?} is not a valid scheme", scheme.value);
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

/// Renders an accepted item.
pub(crate) fn show(location: &TokenLocation) -> Value {
    match location {
        TokenLocation::Header { name, scheme } => Object::new()
            .with("header", name.as_str())
            .maybe("scheme", scheme.as_deref().map(text))
            .into(),
        TokenLocation::Cookie(name) => Object::new().with("cookie", text(name)).into(),
    }
}
