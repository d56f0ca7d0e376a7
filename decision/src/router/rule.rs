//! One match of one route, without its path: its other conditions, and its rank.

use std::{cmp::Reverse, sync::Arc};

use http::Method;
use outrigger_config::model::{ProviderId, Route, RouteId, RouteMatch, Scheme};
use outrigger_filters::claims::ClaimRule;

use super::{Choice, Head, Search, header::HeaderRule, query::QueryRule};
use crate::{Trace, trace::Lost};

/// Rules for the same path, in order.
pub(super) type Rules = Vec<Rule>;

/// The conditions besides host and path.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) rank: Rank,
    method: Option<Method>,
    scheme: Option<Scheme>,
    headers: Arc<[HeaderRule]>,
    query: Arc<[QueryRule]>,
    claims: Option<Arc<ClaimRules>>,
}

/// Conditions on claims, all of one token.
#[derive(Debug)]
struct ClaimRules {
    rules: Vec<ClaimRule>,
    /// The accepted providers of the token: those of the route, or all if it names none.
    providers: Vec<ProviderId>,
}

/// The rank among rules whose host and path are equally specific; the lowest comes first.
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

    /// The first condition that does not match, except claims: [`has_claims`](Self::has_claims).
    #[inline]
    pub(super) fn lost(&self, head: &Head<'_>) -> Option<Lost> {
        let has_method = |method: &Method| method == head.method;
        if !self.method.as_ref().is_none_or(has_method) {
            return Some(Lost::Method);
        }
        if self.scheme.is_some_and(|scheme| scheme != head.scheme) {
            return Some(Lost::Scheme);
        }
        if !head.preflight && !self.headers.iter().all(|rule| rule.holds(head)) {
            return Some(Lost::Headers);
        }
        let has_query = self.query.iter().all(|rule| rule.holds(head.query));
        (!has_query).then_some(Lost::Query)
    }

    /// The first condition that does not match, claims last.
    #[inline]
    fn lost_at_all(&self, head: &Head<'_>) -> Option<Lost> {
        let claims = || (!self.has_claims(head)).then_some(Lost::Claims);
        self.lost(head).or_else(claims)
    }

    /// Reports to the trace that the rule did not match.
    #[inline]
    pub(super) fn tell<T: Trace>(&self, lost: Lost, search: &Search<'_, T>) {
        let Rank {
            route, match_index, ..
        } = self.rank;
        search.trace.candidate(route, match_index, Some(lost));
    }

    /// Checked last, because it may have to verify a token.
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

    /// Whether it has conditions on claims.
    pub(super) fn needs_claims(&self) -> bool {
        self.claims.is_some()
    }
}

/// The first rule that matches. A trace gets the reason of every other one: a condition, or
/// precedence.
#[inline]
pub(super) fn first<'a, T: Trace>(rules: &'a [Rule], search: &Search<'_, T>) -> Option<&'a Rule> {
    let mut rules = rules.iter();
    let won = rules.find(|rule| {
        let lost = rule.lost_at_all(search.head);
        if let Some(lost) = lost {
            rule.tell(lost, search);
        }
        lost.is_none()
    });
    if T::LISTENS {
        for rule in rules {
            let lost = rule.lost_at_all(search.head);
            rule.tell(lost.unwrap_or(Lost::Precedence), search);
        }
    }
    won
}

pub(super) fn sort(rules: &mut Rules) {
    rules.sort_by_key(|rule| rule.rank);
}
