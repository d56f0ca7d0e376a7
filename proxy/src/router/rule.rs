//! One match of one route, without its path: what else must hold, and its place in the order.

use std::{cmp::Reverse, sync::Arc};

use http::Method;
use outrigger_config::model::{ProviderId, Route, RouteId, RouteMatch, Scheme};
use outrigger_filters::claims::ClaimRule;

use super::{Choice, Head, header::HeaderRule, query::QueryRule};

/// Rules for one and the same path, in order.
pub(super) type Rules = Vec<Rule>;

/// What must hold beside host and path.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) rank: Rank,
    method: Option<Method>,
    scheme: Option<Scheme>,
    headers: Arc<[HeaderRule]>,
    query: Arc<[QueryRule]>,
    claims: Option<Arc<ClaimRules>>,
}

/// Claims, all of one token.
#[derive(Debug)]
struct ClaimRules {
    rules: Vec<ClaimRule>,
    /// Whose token it must be: those that the route takes, or anybody's when it names none.
    providers: Vec<ProviderId>,
}

/// The place among rules whose host and path are equally specific; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    method: Reverse<bool>,
    scheme: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    claims: Reverse<usize>,
    route: RouteId,
    match_index: u32,
}

impl Rule {
    pub(super) fn new(id: RouteId, match_index: u32, route: &Route, accepted: &RouteMatch) -> Self {
        let claims = (!accepted.claims.is_empty()).then(|| {
            let rules = accepted.claims.iter().map(ClaimRule::new).collect();
            Arc::new(ClaimRules {
                rules,
                providers: route.auth.requirement.providers().collect(),
            })
        });
        Self {
            rank: Rank {
                method: Reverse(accepted.method.is_some()),
                scheme: Reverse(accepted.scheme.is_some()),
                headers: Reverse(accepted.headers.len()),
                query: Reverse(accepted.query_params.len()),
                claims: Reverse(accepted.claims.len()),
                route: id,
                match_index,
            },
            method: accepted.method.clone(),
            scheme: accepted.scheme,
            headers: accepted.headers.iter().map(HeaderRule::new).collect(),
            query: accepted.query_params.iter().map(QueryRule::new).collect(),
            claims,
        }
    }

    pub(super) fn choice(&self, prefix_len: Option<usize>) -> Choice {
        Choice {
            route: self.rank.route,
            match_index: self.rank.match_index,
            prefix_len,
        }
    }

    /// Everything but [`has_claims`](Self::has_claims).
    pub(super) fn holds(&self, head: &Head<'_>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| method == head.method)
            && self.scheme.is_none_or(|scheme| scheme == head.scheme)
            && (head.preflight || self.headers.iter().all(|rule| rule.holds(head)))
            && self.query.iter().all(|rule| rule.holds(head.query))
    }

    /// Asked last: it may mean to verify a token.
    pub(super) fn has_claims(&self, head: &Head<'_>) -> bool {
        match &self.claims {
            Some(claims) if !head.preflight => head.tokens.is_some_and(|tokens| {
                tokens.any(&claims.providers, &mut |token| {
                    claims.rules.iter().all(|rule| rule.holds(token))
                })
            }),
            _ => true,
        }
    }

    /// Whether it asks for claims at all.
    pub(super) fn asks_for_claims(&self) -> bool {
        self.claims.is_some()
    }
}

/// The first rule that holds.
pub(super) fn first<'a>(rules: &'a [Rule], head: &Head<'_>) -> Option<&'a Rule> {
    rules
        .iter()
        .find(|rule| rule.holds(head) && rule.has_claims(head))
}

pub(super) fn sort(rules: &mut Rules) {
    rules.sort_by_key(|rule| rule.rank);
}
