//! `requestHeaders` and `responseHeaders`: remove, then set, then add.
//!
//! The configuration check validates the names; this step applies them unchanged.

mod step;

use http::HeaderMap;
use outrigger_config::model::HeaderChanges;

pub use step::RequestHeadersStep;

/// Applies the changes; costs nothing if there are none.
pub fn apply(changes: &HeaderChanges, headers: &mut HeaderMap) {
    for name in &changes.remove {
        headers.remove(name);
    }
    for (name, value) in &changes.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &changes.add {
        headers.append(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }

    #[test]
    fn nothing_changes_without_changes() {
        let mut headers = HeaderMap::from_iter([pair("a", "1")]);
        apply(&HeaderChanges::default(), &mut headers);
        assert_eq!(headers, HeaderMap::from_iter([pair("a", "1")]));
    }

    #[test]
    fn all_values_are_removed_or_replaced_and_added_ones_stand_beside() {
        let mut headers = HeaderMap::from_iter([
            pair("gone", "1"),
            pair("gone", "2"),
            pair("new", "1"),
            pair("more", "1"),
        ]);
        headers.append("new", HeaderValue::from_static("2"));
        let mut changes = HeaderChanges::default();
        changes.remove.push(HeaderName::from_static("gone"));
        changes.set.extend([pair("new", "3"), pair("fresh", "1")]);
        changes.add.extend([pair("more", "2"), pair("other", "1")]);
        apply(&changes, &mut headers);
        let all = |name| {
            headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (all("gone").len(), all("new"), all("fresh")),
            (0, vec!["3"], vec!["1"])
        );
        assert_eq!((all("more"), all("other")), (vec!["1", "2"], vec!["1"]));
    }

    #[test]
    fn the_order_is_remove_set_add_for_one_and_the_same_name() {
        let mut headers = HeaderMap::from_iter([pair("a", "0")]);
        let mut changes = HeaderChanges::default();
        changes.add.push(pair("a", "2"));
        changes.set.push(pair("a", "1"));
        changes.remove.push(HeaderName::from_static("a"));
        apply(&changes, &mut headers);
        assert_eq!(headers.get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
    }
}
