//! Matches of a route.

use crate::{
    block::{At, Either, Entries, problem::Report},
    model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch},
    part::{
        claim, headers, method, path,
        value_match::{self, MatchValue, pattern},
    },
    schema::{MatchBlock, PathMatchBlock},
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
        method: block.method.as_ref().and_then(|method| method::named(method, report)),
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

fn header_matches(written: Option<&At<Entries<MatchValue>>>, report: &mut Report) -> Vec<HeaderMatch> {
    let mut matches = Vec::new();
    for (name, value) in written.map_or(&[][..], |written| &written.value.0) {
        let value = value_match::accept(&value.value, report);
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
        value: value_match::accept(&value.value, report),
    };
    items.iter().map(one).collect()
}
