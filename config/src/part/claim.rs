//! Claims of a token: names and conditions.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    block::{
        At, Entries, OneOrMany,
        problem::{Place, Report},
    },
    part::value_match::{self, MatchValue, ValueMatch},
};

/// A claim by name: `org.tenant` is `tenant` within `org`; `["a.b"]` is the one member `a.b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath(Arc<[Arc<str>]>);

impl ClaimPath {
    /// The path of these members; at least one.
    pub fn new(members: impl Into<Arc<[Arc<str>]>>) -> Self {
        Self(members.into())
    }

    /// The members, outermost first.
    pub fn members(&self) -> &[Arc<str>] {
        &self.0
    }
}

/// A match on a verified claim. An array matches when one of its elements does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimMatch {
    /// The claim.
    pub claim: ClaimPath,
    /// The accepted values. Numbers and booleans are compared in their JSON form.
    pub any_of: Vec<ValueMatch>,
}

impl ClaimMatch {
    /// A match on one claim.
    pub fn new(claim: ClaimPath, any_of: Vec<ValueMatch>) -> Self {
        Self { claim, any_of }
    }
}

/// Maximum levels of a path; tokens are usually nested two or three deep.
const MAX_MEMBERS: usize = 16;

/// Parses `org.tenant`, or `["a.b"]` for a name that contains dots.
pub(crate) fn path(text: &str, place: &Place, report: &mut Report) -> Option<ClaimPath> {
    match members(text) {
        Ok(members) => Some(ClaimPath::new(
            members.into_iter().map(Into::into).collect::<Vec<_>>(),
        )),
        Err(help) => {
            report.error(
                place,
                "bad-claim",
                format!("{text:?} is not a valid claim name"),
                help,
            );
            None
        }
    }
}

/// Parses the claim of a key: text as above, or a list of members, outermost first.
pub(crate) fn path_value(
    written: &At<OneOrMany<String>>,
    report: &mut Report,
) -> Option<ClaimPath> {
    let members = match &written.value {
        OneOrMany::One(text) => return path(text, &written.place, report),
        OneOrMany::Many(members) => members,
    };
    let names: Vec<_> = members
        .iter()
        .map(|member| member.value.as_str().into())
        .collect();
    if names.is_empty()
        || names.len() > MAX_MEMBERS
        || members.iter().any(|member| member.value.is_empty())
    {
        let help = format!("write a list of 1 to {MAX_MEMBERS} names, outermost first");
        report.error(
            &written.place,
            "bad-claim",
            "this list is not a valid claim name",
            help,
        );
        return None;
    }
    Some(ClaimPath::new(names))
}

/// Parses `claims` of a match: each value is a single condition.
pub(crate) fn matches(
    written: Option<&At<Entries<MatchValue>>>,
    report: &mut Report,
) -> Vec<ClaimMatch> {
    collect(
        written,
        |value, report| vec![value_match::accept(&value.value, report)],
        report,
    )
}

/// Parses `claims` of a rule: a value may be a list, of which one must match.
pub(crate) fn any_matches(
    written: Option<&At<Entries<OneOrMany<MatchValue>>>>,
    report: &mut Report,
) -> Vec<ClaimMatch> {
    collect(written, any_of, report)
}

fn any_of(written: &At<OneOrMany<MatchValue>>, report: &mut Report) -> Vec<ValueMatch> {
    let items = match &written.value {
        OneOrMany::One(value) => return vec![value_match::accept(value, report)],
        OneOrMany::Many(items) => items,
    };
    if items.is_empty() {
        report.error(
            &written.place,
            "empty-list",
            "the list of values for this claim is empty",
            "add a value",
        );
    }
    items
        .iter()
        .map(|item| value_match::accept(&item.value, report))
        .collect()
}

fn collect<T>(
    written: Option<&At<Entries<T>>>,
    value: impl Fn(&At<T>, &mut Report) -> Vec<ValueMatch>,
    report: &mut Report,
) -> Vec<ClaimMatch> {
    let mut matches: Vec<ClaimMatch> = Vec::new();
    for (key, written) in written.map_or(&[][..], |written| &written.value.0) {
        let any_of = value(written, report);
        let Some(claim) = path(&key.value, &key.place, report) else {
            continue;
        };
        if matches.iter().any(|other| other.claim == claim) {
            let message = "this claim is listed twice";
            report.error(&key.place, "duplicate-key", message, "keep one of the two");
        }
        matches.push(ClaimMatch::new(claim, any_of));
    }
    matches
}

fn members(text: &str) -> Result<Vec<String>, String> {
    const FORM: &str = "write it as sub, as org.tenant for a nested one, or as [\"a.b\"] for a name that contains dots";
    if text.contains("://") && !text.starts_with('[') {
        // A dot in a URL would be parsed as a nested member, and never match.
        return Err(format!("write [{text:?}] for a name that contains dots"));
    }
    let mut members = Vec::new();
    let mut rest = text;
    loop {
        let (member, behind) = member(rest).ok_or(FORM)?;
        members.push(member);
        rest = match behind.strip_prefix('.') {
            Some(behind) => behind,
            None if behind.is_empty() => break,
            None if behind.starts_with('[') => behind,
            None => return Err(FORM.to_owned()),
        };
    }
    match members.len() <= MAX_MEMBERS {
        true => Ok(members),
        false => Err(format!("a claim is at most {MAX_MEMBERS} levels deep")),
    }
}

/// One member at the start of a text, and the rest of the text.
fn member(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('[') else {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (member, behind) = text.split_at(end);
        let plain =
            !member.is_empty() && !member.contains([']', '"', '\\']) && member.trim() == member;
        return plain.then(|| (member.to_owned(), behind));
    };
    // A JSON string, so that it may contain quotes.
    let mut strings = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
    let member = strings.next()?.ok().filter(|member| !member.is_empty())?;
    let behind = quoted.get(strings.byte_offset()..)?.strip_prefix(']')?;
    Some((member, behind))
}

/// A claim as it is written in the file.
pub(crate) fn written(claim: &ClaimPath) -> String {
    let mut text = String::new();
    for member in claim.members() {
        if members(member).is_ok_and(|members| members.len() == 1 && members[0] == **member) {
            text.push_str(if text.is_empty() { "" } else { "." });
            text.push_str(member);
        } else {
            text.push_str(&format!("[{}]", Value::from(&**member)));
        }
    }
    text
}

/// Claims by name; a single value is rendered alone, several as a list.
pub(crate) fn show(claims: &[ClaimMatch]) -> Option<Map<String, Value>> {
    let one = |claim: &ClaimMatch| {
        let value = match &claim.any_of[..] {
            [value] => value_match::show(value),
            values => values.iter().map(value_match::show).collect(),
        };
        (written(&claim.claim), value)
    };
    (!claims.is_empty()).then(|| claims.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_written_again() {
        for (text, expected) in [
            ("sub", &["sub"][..]),
            ("org.tenant", &["org", "tenant"]),
            ("[\"a.b\"]", &["a.b"]),
            ("[\"a.b\"].c", &["a.b", "c"]),
            ("a[\"b.c\"].d", &["a", "b.c", "d"]),
            ("[\"a\\\"]b\"]", &["a\"]b"]),
            (
                "[\"https://example.com/roles\"]",
                &["https://example.com/roles"],
            ),
            ("urn:x:y", &["urn:x:y"]),
            ("größe", &["größe"]),
        ] {
            let found = members(text).unwrap_or_else(|help| panic!("{text}: {help}"));
            assert_eq!(found, expected, "{text}");
            let path = ClaimPath::new(found.into_iter().map(Into::into).collect::<Vec<_>>());
            assert_eq!(written(&path), text);
        }
        let path = ClaimPath::new(["a".into(), " b".into(), "[".into()]);
        assert_eq!(members(&written(&path)).unwrap(), ["a", " b", "["]);
    }

    #[test]
    fn invalid_claim_names_are_rejected() {
        let deep = vec!["a"; MAX_MEMBERS + 1].join(".");
        for text in [
            "", ".", "a.", ".a", "a..b", "[a]", "[\"a\"", "[\"\"]", "[\"a\"]b", "a]", " a", "[1]",
            "a[", &deep,
        ] {
            assert!(members(text).is_err(), "{text}");
        }
        assert_eq!(
            members("https://example.com/roles").unwrap_err(),
            "write [\"https://example.com/roles\"] for a name that contains dots"
        );
    }
}
