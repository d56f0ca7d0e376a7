//! Header names, values and changes.

use http::{HeaderName, HeaderValue};

use crate::{
    block::{
        At, Entries,
        problem::{Place, Report},
    },
    model::HeaderChanges,
    schema::HeaderChangesBlock,
};

/// Headers that belong to one connection (RFC 9110 section 7.6.1) and are the proxy's business.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// Checks header changes of a route; keys that it leaves out come from `defaults`.
pub(crate) fn changes(
    route: Option<&At<HeaderChangesBlock>>,
    defaults: Option<&At<HeaderChangesBlock>>,
    report: &mut Report,
) -> HeaderChanges {
    let pick = |key: fn(&HeaderChangesBlock) -> bool| {
        let of_route = route.filter(|block| key(&block.value));
        of_route.or(defaults).map(|block| &block.value)
    };
    let set = pick(|block| block.set.is_some()).and_then(|block| block.set.as_ref());
    let add = pick(|block| block.add.is_some()).and_then(|block| block.add.as_ref());
    let remove = pick(|block| block.remove.is_some()).and_then(|block| block.remove.as_ref());
    HeaderChanges { remove: names(remove, report), set: values(set, report), add: values(add, report) }
}

/// Checks a header name that requests are matched by.
pub(crate) fn matched_name(name: &At<String>, report: &mut Report) -> Option<HeaderName> {
    let parsed = parse_name(&name.value, &name.place, report)?;
    if parsed == http::header::HOST {
        let message = "the host is not matched as a header";
        report.error(&name.place, "forbidden-header", message, "use `hostnames` of the route");
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
        "content-length" | "transfer-encoding" => Some("the proxy frames bodies itself; use another name"),
        "forwarded" => Some("the proxy owns it; use another name"),
        name if name.strip_prefix("x-").is_some_and(own) => Some("the proxy owns it; use another name"),
        name if HOP_BY_HOP.contains(&name) => Some("it belongs to one connection; use another name"),
        _ => None,
    }
}

/// Checks a header value.
pub(crate) fn value(text: &At<String>, report: &mut Report) -> HeaderValue {
    let visible = text.value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let good = visible && text.value.trim() == text.value;
    let parsed = HeaderValue::from_str(&text.value).ok().filter(|_| good);
    parsed.unwrap_or_else(|| {
        let message = format!("{:?} is not a header value", text.value);
        let help = "use visible ASCII on one line, without spaces at the ends";
        report.error(&text.place, "bad-header-value", message, help);
        HeaderValue::from_static("")
    })
}

fn names(list: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for item in list.map_or(&[][..], |list| &list.value) {
        if let Some(name) = changed_name(&item.value, &item.place, report) {
            once(names.contains(&name), &item.place, report);
            names.push(name);
        }
    }
    names
}

fn values(map: Option<&At<Entries<String>>>, report: &mut Report) -> Vec<(HeaderName, HeaderValue)> {
    let mut pairs: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let entries = map.map_or(&[][..], |map| &map.value.0);
    for (index, (key, text)) in entries.iter().enumerate() {
        let value = value(text, report);
        // The same spelling twice was reported when the map was read.
        let again = |(other, _): &(At<String>, _)| {
            other.value != key.value && other.value.eq_ignore_ascii_case(&key.value)
        };
        once(entries[..index].iter().any(again), &key.place, report);
        if let Some(name) = changed_name(&key.value, &key.place, report) {
            pairs.push((name, value));
        }
    }
    pairs
}

/// Reports a name that stands in a list for a second time.
pub(crate) fn once(again: bool, place: &Place, report: &mut Report) {
    if again {
        let help = "names of headers have no case; keep one";
        report.error(place, "duplicate-key", "this header stands here a second time", help);
    }
}

/// A header that a route may change.
fn changed_name(text: &str, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let name = parse_name(text, place, report)?;
    let help = match name.as_str() {
        "host" => "use `urlRewrite.hostname`",
        "content-length" | "transfer-encoding" => "the proxy frames bodies itself",
        name if HOP_BY_HOP.contains(&name) => "it belongs to one connection and is never sent on",
        _ => return Some(name),
    };
    let message = format!("`{name}` cannot be changed by a route");
    report.error(place, "forbidden-header", message, help);
    Some(name)
}

/// Checks the name of a header.
pub(crate) fn parse_name(text: &str, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("{text:?} is not the name of a header");
        report.error(place, "bad-header-name", message, "use letters, digits and `-`, such as x-tenant");
    }
    name
}
