//! Matches of a route.

use http::Method;

use crate::{
    block::{At, Either, Entries, name, problem::Report},
    model::{HeaderMatch, PathMatch, Pattern, QueryMatch, RouteMatch, ValueMatch},
    schema::{MatchBlock, MatchValue, PathMatchBlock},
    validate::{claim, headers, path},
};

/// What absent matches mean.
pub(crate) fn every_path() -> RouteMatch {
    RouteMatch {
        path: PathMatch::Prefix("/".into()),
        method: None,
        scheme: None,
        headers: Vec::new(),
        query_params: Vec::new(),
        claims: Vec::new(),
    }
}

/// Checks the matches of a route.
pub(crate) fn matches(
    written: Option<&At<Vec<At<MatchBlock>>>>,
    rules: path::Rules,
    report: &mut Report,
) -> Vec<RouteMatch> {
    let Some(written) = written else { return vec![every_path()] };
    if written.value.is_empty() {
        let help = "add a match, or remove the key to take every path";
        report.error(&written.place, "empty-list", "the route matches nothing", help);
    }
    written.value.iter().map(|item| route_match(&item.value, rules, report)).collect()
}

/// Whether `replacePrefixMatch` has a prefix to replace in every match.
pub(crate) fn only_prefixes(matches: &[RouteMatch]) -> bool {
    matches.iter().all(|item| matches!(item.path, PathMatch::Prefix(_)))
}

fn route_match(block: &MatchBlock, rules: path::Rules, report: &mut Report) -> RouteMatch {
    let path = block.path.as_ref();
    RouteMatch {
        path: path.map_or_else(|| every_path().path, |path| path_match(path, rules, report)),
        method: block.method.as_ref().and_then(|method| method_named(method, report)),
        scheme: block.scheme.as_ref().map(|scheme| scheme.value.0),
        headers: header_matches(block.headers.as_ref(), report),
        query_params: query_matches(block.query_params.as_ref(), report),
        claims: claim::matches(block.claims.as_ref(), report),
    }
}

fn path_match(
    written: &At<Either<String, PathMatchBlock>>,
    rules: path::Rules,
    report: &mut Report,
) -> PathMatch {
    let prefix = |text: &At<String>, report: &mut Report| {
        path::matched(text, rules, report);
        PathMatch::Prefix(path::trimmed(&text.value).into())
    };
    let block = match &written.value {
        Either::Short(text) => {
            return prefix(&At { value: text.clone(), place: written.place.clone() }, report);
        }
        Either::Map(block) => block,
    };
    if let Some(text) = &block.exact {
        path::matched(text, rules, report);
        PathMatch::Exact(text.value.as_str().into())
    } else if let Some(text) = &block.prefix {
        prefix(text, report)
    } else if let Some(text) = &block.template {
        PathMatch::Template(path::template(text, rules, report))
    } else {
        let pattern = block.regex.as_ref().and_then(|text| pattern(text, report));
        pattern.map_or_else(|| every_path().path, PathMatch::Regex)
    }
}

/// Reads a regular expression.
pub(crate) fn pattern(text: &At<String>, report: &mut Report) -> Option<Pattern> {
    let error = match Pattern::new(&text.value) {
        Ok(pattern) => return Some(pattern),
        Err(error) => error.to_string(),
    };
    // The library draws the pattern over several lines; its last line says what is wrong.
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let message = format!("{:?} is not a regular expression: {reason}", text.value);
    let help = "it is matched against the whole value; write \\ before a character that is meant literally";
    report.error(&text.place, "bad-regex", message, help);
    None
}

/// Reads a list of methods that may be absent and is not empty.
pub(crate) fn methods(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<Method> {
    let Some(written) = written else { return Vec::new() };
    if written.value.is_empty() {
        let help = "name a method, or remove the key for all";
        report.error(&written.place, "empty-list", "there is no method", help);
    }
    let methods = name::each_once(&written.value, report);
    methods.into_iter().filter_map(|method| method_named(method, report)).collect()
}

fn method_named(text: &At<String>, report: &mut Report) -> Option<Method> {
    let method = Method::from_bytes(text.value.as_bytes()).ok();
    let upper = text.value.to_ascii_uppercase();
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    if method.is_none() || (text.value != upper && known.contains(&upper.as_str())) {
        let message = format!("{:?} is not a method", text.value);
        let help = if known.contains(&upper.as_str()) {
            format!("write {upper}")
        } else {
            "write for example GET".to_owned()
        };
        report.error(&text.place, "bad-method", message, help);
    }
    method
}

fn header_matches(written: Option<&At<Entries<MatchValue>>>, report: &mut Report) -> Vec<HeaderMatch> {
    let mut matches = Vec::new();
    for (name, value) in written.map_or(&[][..], |written| &written.value.0) {
        let value = value_match(&value.value, report);
        if let Some(name) = headers::matched_name(name, report) {
            matches.push(HeaderMatch { name, value });
        }
    }
    matches
}

fn query_matches(written: Option<&At<Entries<MatchValue>>>, report: &mut Report) -> Vec<QueryMatch> {
    let items = written.map_or(&[][..], |written| &written.value.0);
    let one = |(name, value): &(At<String>, At<MatchValue>)| QueryMatch {
        name: name.value.as_str().into(),
        value: value_match(&value.value, report),
    };
    items.iter().map(one).collect()
}

/// Reads what a header, parameter or claim must be.
pub(crate) fn value_match(written: &MatchValue, report: &mut Report) -> ValueMatch {
    let block = match written {
        Either::Short(text) => return ValueMatch::Exact(text.as_str().into()),
        Either::Map(block) => block,
    };
    if let Some(present) = block.present.as_ref().filter(|present| !present.value.0) {
        let help = "write `present: true`; that something is absent cannot be matched";
        report.error(&present.place, "bad-value", "`present` is only ever true", help);
    }
    let regex = block.regex.as_ref().and_then(|text| pattern(text, report));
    regex.map_or(ValueMatch::Present, ValueMatch::Regex)
}
