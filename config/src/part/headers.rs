//! Header names and values.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::block::{
    At,
    problem::{Place, Report},
    show::text,
};

/// Headers of one connection (RFC 9110 section 7.6.1), which the proxy handles itself.
pub(crate) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// Validates the name of a header in a match.
pub(crate) fn matched_name(name: &At<String>, report: &mut Report) -> Option<HeaderName> {
    let parsed = parse_name(&name.value, &name.place, report)?;
    if parsed == http::header::HOST {
        let message = "a match on the header `host` is not supported";
        report.error(
            &name.place,
            "forbidden-header",
            message,
            "use `hostnames` of the route instead",
        );
    }
    Some(parsed)
}

/// Why clients and the app cannot use a header between themselves, and what to do instead.
pub(crate) fn why_not_for_the_app(name: &HeaderName) -> Option<&'static str> {
    let own = |rest: &str| {
        matches!(rest, "request-id" | "real-ip")
            || rest.starts_with("forwarded-")
            || rest.starts_with("outrigger-")
    };
    match name.as_str() {
        "content-length" | "transfer-encoding" => {
            Some("the proxy frames bodies itself; use another name")
        }
        "forwarded" => Some("the proxy owns it; use another name"),
        name if name.strip_prefix("x-").is_some_and(own) => {
            Some("the proxy owns it; use another name")
        }
        name if HOP_BY_HOP.contains(&name) => {
            Some("it belongs to one connection; use another name")
        }
        _ => None,
    }
}

/// Validates a header value.
pub(crate) fn value(text: &At<String>, report: &mut Report) -> HeaderValue {
    let visible = text
        .value
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let good = visible && text.value.trim() == text.value;
    let parsed = HeaderValue::from_str(&text.value).ok().filter(|_| good);
    parsed.unwrap_or_else(|| {
        let message = format!("{:?} is not a valid header value", text.value);
        let help = "use visible ASCII on one line, without spaces at the ends";
        report.error(&text.place, "bad-header-value", message, help);
        HeaderValue::from_static("")
    })
}

/// Reports a duplicate name in a list.
pub(crate) fn once(again: bool, place: &Place, report: &mut Report) {
    if again {
        let help = "header names are case-insensitive; keep one";
        report.error(place, "duplicate-key", "this header is listed twice", help);
    }
}

/// Validates the name of a header.
pub(crate) fn parse_name(text: &str, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("{text:?} is not a valid header name");
        report.error(
            place,
            "bad-header-name",
            message,
            "use letters, digits and `-`, such as x-tenant",
        );
    }
    name
}

/// Renders a value; the loader accepts visible ASCII only.
pub(crate) fn show(value: &HeaderValue) -> Value {
    text(value.to_str().unwrap_or_default())
}

/// A `token` of RFC 9110 section 5.6.2; cookie names are tokens too.
pub(crate) fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}
