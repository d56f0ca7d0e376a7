//! `matches` of a route.

use std::sync::Arc;

use http::{HeaderName, Method};
use serde_json::{Map, Value as Json};

use crate::{
    block::{
        At, Either, Entries, Word, block,
        problem::Report,
        show::{Object, text},
    },
    listener::direction::Direction,
    part::{
        claim::{self, ClaimMatch},
        headers, method,
        path::{self, PathTemplate},
        scheme::Scheme,
        value_match::{self, MatchValue, Pattern, ValueMatch, pattern},
    },
    route::context::Context,
};

block! {
    /// A match; all of its conditions must match.
    MatchBlock {
        /// The canonical path: a string is a prefix of whole elements, a map selects the kind of
        /// match.
        "path" path: Either<String, PathMatchBlock>,
        /// The method, in upper case.
        "method" method: String,
        /// `http` or `https`: the scheme that the client uses with the proxy, or with the trusted
        /// peer in front of it (`x-forwarded-proto`).
        "scheme" scheme: Word<Scheme>,
        /// Headers, all of which must match: a string is the exact value. `x-forwarded-proto`,
        /// `-host`, `-for` and `x-request-id` have the values that the app receives.
        "headers" headers: Entries<MatchValue>,
        /// Query parameters, all of which must match: a string is the exact value. The first value
        /// of a name is used, decoded: `+` and `%20` are a space, `%2B` is a plus.
        "queryParams" query_params: Entries<MatchValue>,
        /// Claims of a verified token, all of which must match: a string is the exact value.
        "claims" claims: Entries<MatchValue>,
    }
}

block! {
    /// A path match of one kind.
    PathMatchBlock {
        /// The whole path.
        "exact" exact: String,
        /// Whole leading elements: /abc matches /abc and /abc/d, not /abcd.
        "prefix" prefix: String,
        /// The whole path; {name} matches one element: /users/{id}/orders.
        "template" template: String,
        /// A regular expression for the whole path.
        "regex" regex: String,
    }
    one_of ["exact", "prefix", "template", "regex"]
}

/// One item of `matches`; all of its conditions must match.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteMatch {
    /// The canonical path.
    pub path: PathMatch,
    /// The method, if required.
    pub method: Option<Method>,
    /// The scheme of the client, if required.
    pub scheme: Option<Scheme>,
    /// Headers, all of which must match.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters, all of which must match.
    pub query_params: Vec<QueryMatch>,
    /// Verified claims, all of which must match.
    pub claims: Vec<ClaimMatch>,
}

impl RouteMatch {
    /// A match on the path alone.
    pub fn new(path: PathMatch) -> Self {
        Self {
            path,
            method: None,
            scheme: None,
            headers: Vec::new(),
            query_params: Vec::new(),
            claims: Vec::new(),
        }
    }
}

/// A match on the canonical path; the values are in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// Whole leading elements: `/abc` matches `/abc` and `/abc/d`, not `/abcd`. Without a trailing
    /// slash, except `/`.
    Prefix(Arc<str>),
    /// A template for the whole path.
    Template(PathTemplate),
    /// A regular expression for the whole path.
    Regex(Pattern),
}

/// A match on a header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderMatch {
    /// The header.
    pub name: HeaderName,
    /// The condition on one of its values.
    pub value: ValueMatch,
}

impl HeaderMatch {
    /// A match on one header.
    pub fn new(name: HeaderName, value: ValueMatch) -> Self {
        Self { name, value }
    }
}

/// A match on a query parameter, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryMatch {
    /// The parameter; case-sensitive.
    pub name: Arc<str>,
    /// The condition on its first value.
    pub value: ValueMatch,
}

impl QueryMatch {
    /// A match on one parameter.
    pub fn new(name: Arc<str>, value: ValueMatch) -> Self {
        Self { name, value }
    }
}

/// The match of a route without `matches`.
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

/// Validates the matches of a route.
pub(crate) fn accept(
    written: Option<&At<Vec<At<MatchBlock>>>>,
    rules: path::Rules,
    report: &mut Report,
) -> Vec<RouteMatch> {
    let Some(written) = written else {
        return vec![every_path()];
    };
    if written.value.is_empty() {
        let help = "add a match, or remove the key to match every path";
        report.error(
            &written.place,
            "empty-list",
            "the list of matches is empty",
            help,
        );
    }
    written
        .value
        .iter()
        .map(|item| route_match(&item.value, rules, report))
        .collect()
}

/// Whether `replacePrefixMatch` has a prefix to replace in every match.
pub(crate) fn only_prefixes(matches: &[RouteMatch]) -> bool {
    matches
        .iter()
        .all(|item| matches!(item.path, PathMatch::Prefix(_)))
}

fn route_match(block: &MatchBlock, rules: path::Rules, report: &mut Report) -> RouteMatch {
    let path = block.path.as_ref();
    RouteMatch {
        path: path.map_or_else(|| every_path().path, |path| path_match(path, rules, report)),
        method: block
            .method
            .as_ref()
            .and_then(|method| method::named(method, report)),
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
            return prefix(
                &At {
                    value: text.clone(),
                    place: written.place.clone(),
                },
                report,
            );
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

fn header_matches(
    written: Option<&At<Entries<MatchValue>>>,
    report: &mut Report,
) -> Vec<HeaderMatch> {
    let mut matches = Vec::new();
    for (name, value) in written.map_or(&[][..], |written| &written.value.0) {
        let value = value_match::accept(&value.value, report);
        if let Some(name) = headers::matched_name(name, report) {
            matches.push(HeaderMatch { name, value });
        }
    }
    matches
}

fn query_matches(
    written: Option<&At<Entries<MatchValue>>>,
    report: &mut Report,
) -> Vec<QueryMatch> {
    let items = written.map_or(&[][..], |written| &written.value.0);
    let one = |(name, value): &(At<String>, At<MatchValue>)| QueryMatch {
        name: name.value.as_str().into(),
        value: value_match::accept(&value.value, report),
    };
    items.iter().map(one).collect()
}

/// Claims in a match require a verified token, and only inbound requests have one.
pub(crate) fn check_claims(
    written: Option<&At<Vec<At<MatchBlock>>>>,
    direction: Direction,
    context: &Context<'_>,
    report: &mut Report,
) {
    let (message, help) = match direction {
        Direction::Outbound => (
            "outbound requests have no verified token",
            "remove `claims`",
        ),
        Direction::Inbound if context.providers.is_empty() => (
            "claims require a verified token, but no token provider is configured",
            "add `jwtProviders`",
        ),
        Direction::Inbound => return,
    };
    for item in written.map_or(&[][..], |matches| &matches.value) {
        if let Some(claims) = &item.value.claims {
            report.error(&claims.place, "no-token", message, help);
        }
    }
}

/// Headers that carry claims are removed before the route is selected, and written after.
pub(crate) fn check_claim_headers(
    written: Option<&At<Vec<At<MatchBlock>>>>,
    context: &Context<'_>,
    report: &mut Report,
) {
    let matches = written.map_or(&[][..], |matches| &matches.value);
    let headers = matches
        .iter()
        .filter_map(|item| item.value.headers.as_ref());
    for (name, _) in headers.flat_map(|headers| &headers.value.0) {
        let carried = context
            .providers
            .iter()
            .flat_map(|provider| &provider.claim_headers);
        let Some(header) = carried
            .into_iter()
            .find(|header| name.value.eq_ignore_ascii_case(header.name.as_str()))
        else {
            continue;
        };
        let message = format!(
            "`{}` of `claimHeaders` is removed from all client requests, so this never matches",
            header.name
        );
        let help = format!(
            "match the claim: `claims: {{ {}: … }}`",
            claim::written(&header.claim)
        );
        report.error(&name.place, "never-matches", message, help);
    }
}

/// Renders an accepted item.
pub(crate) fn show(item: &RouteMatch) -> Json {
    let path = match &item.path {
        PathMatch::Exact(path) => ("exact", text(path)),
        PathMatch::Prefix(path) => ("prefix", text(path)),
        PathMatch::Template(template) => ("template", text(&template.source)),
        PathMatch::Regex(pattern) => ("regex", text(pattern.as_str())),
    };
    let headers: Map<_, _> = item
        .headers
        .iter()
        .map(|header| (header.name.to_string(), value_match::show(&header.value)))
        .collect();
    let params: Map<_, _> = item
        .query_params
        .iter()
        .map(|param| (param.name.to_string(), value_match::show(&param.value)))
        .collect();
    Object::new()
        .with("path", Object::new().with(path.0, path.1))
        .maybe("method", item.method.as_ref().map(ToString::to_string))
        .maybe("scheme", item.scheme.map(Scheme::as_str))
        .maybe("headers", (!headers.is_empty()).then_some(headers))
        .maybe("queryParams", (!params.is_empty()).then_some(params))
        .maybe("claims", claim::show(&item.claims))
        .into()
}
