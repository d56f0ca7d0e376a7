//! Names and values of headers.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::block::{
    At,
    problem::{Place, Report},
    show::text,
};

/// Headers that belong to one connection (RFC 9110 section 7.6.1) and are the proxy's business.
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

/// Checks a header name that requests are matched by.
pub(crate) fn matched_name(name: &At<String>, report: &mut Report) -> Option<HeaderName> {
    let parsed = parse_name(&name.value, &name.place, report)?;
    if parsed == http::header::HOST {
        let message = "the host is not matched as a header";
        report.error(
            &name.place,
            "forbidden-header",
            message,
            "use `hostnames` of the route",
        );
    }
    Some(parsed)
}

/// Why a header is none that clients and the app agree on between themselves, and what to do instead.
pub(crate) fn not_the_apps(name: &HeaderName) -> Option<&'static str> {
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

/// Checks a header value.
pub(crate) fn value(text: &At<String>, report: &mut Report) -> HeaderValue {
    let visible = text
        .value
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let good = visible && text.value.trim() == text.value;
    let parsed = HeaderValue::from_str(&text.value).ok().filter(|_| good);
    parsed.unwrap_or_else(|| {
        let message = format!("{:?} is not a header value", text.value);
        let help = "use visible ASCII on one line, without spaces at the ends";
        report.error(&text.place, "bad-header-value", message, help);
        HeaderValue::from_static("")
    })
}

/// Reports a name that stands in a list for a second time.
pub(crate) fn once(again: bool, place: &Place, report: &mut Report) {
    if again {
        let help = "names of headers have no case; keep one";
        report.error(
            place,
            "duplicate-key",
            "this header stands here a second time",
            help,
        );
    }
}

/// Checks the name of a header.
pub(crate) fn parse_name(text: &str, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("{text:?} is not the name of a header");
        report.error(
            place,
            "bad-header-name",
            message,
            "use letters, digits and `-`, such as x-tenant",
        );
    }
    name
}

/// Shows a value; the loader only takes visible ASCII.
pub(crate) fn show(value: &HeaderValue) -> Value {
    text(value.to_str().unwrap_or_default())
}

/// A `token` of RFC 9110 section 5.6.2, which names of cookies are too.
pub(crate) fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}
