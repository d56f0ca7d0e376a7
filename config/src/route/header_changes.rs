//! `requestHeaders` and `responseHeaders` of a route and of `defaults`.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::{
    block::{
        At, Entries, block,
        problem::{Place, Report},
        show::Object,
    },
    part::headers::{self, HOP_BY_HOP, once, parse_name, value},
};

block! {
    /// Changes to headers, applied in the order remove, set, add.
    HeaderChangesBlock {
        /// Headers that replace all values.
        "set" set: Entries<String>,
        /// Headers that are added beside existing values.
        "add" add: Entries<String>,
        /// Names of headers that are removed.
        "remove" remove: Vec<At<String>>,
    }
}

/// `requestHeaders` or `responseHeaders`, applied in the order remove, set, add.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HeaderChanges {
    /// Removed, all values.
    pub remove: Vec<HeaderName>,
    /// Replace all values.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Added beside existing values.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// Validates header changes of a route; omitted keys come from `defaults`.
pub(crate) fn accept(
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
    HeaderChanges {
        remove: names(remove, report),
        set: values(set, report),
        add: values(add, report),
    }
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

fn values(
    map: Option<&At<Entries<String>>>,
    report: &mut Report,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut pairs: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let entries = map.map_or(&[][..], |map| &map.value.0);
    for (index, (key, text)) in entries.iter().enumerate() {
        let value = value(text, report);
        // A second use of the same spelling was reported when the map was read.
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

/// A header that a route may change.
fn changed_name(text: &str, place: &Place, report: &mut Report) -> Option<HeaderName> {
    let name = parse_name(text, place, report)?;
    let help = match name.as_str() {
        "host" => "use `urlRewrite.hostname`",
        "content-length" | "transfer-encoding" => "the proxy frames bodies itself",
        name if HOP_BY_HOP.contains(&name) => "it belongs to one connection and is never forwarded",
        _ => return Some(name),
    };
    let message = format!("`{name}` cannot be changed by a route");
    report.error(place, "forbidden-header", message, help);
    Some(name)
}

/// Renders the accepted value; `None` when it changes nothing.
pub(crate) fn show(changes: &HeaderChanges) -> Option<Object> {
    let map = |pairs: &[(HeaderName, HeaderValue)]| -> Option<Map<String, Value>> {
        let pairs: Map<_, _> = pairs
            .iter()
            .map(|(name, value)| (name.to_string(), headers::show(value)))
            .collect();
        (!pairs.is_empty()).then_some(pairs)
    };
    let names: Vec<Value> = changes
        .remove
        .iter()
        .map(|name| name.as_str().into())
        .collect();
    let object = Object::new()
        .maybe("remove", (!names.is_empty()).then_some(names))
        .maybe("set", map(&changes.set))
        .maybe("add", map(&changes.add));
    (!changes.is_empty()).then_some(object)
}
