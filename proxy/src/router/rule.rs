//! One match of one route, without its path: what else must hold, and its place in the order.

use std::{cmp::Reverse, sync::Arc};

use http::Method;
use outrigger_config::model::{RouteId, RouteMatch};

use super::{Choice, Head, header::HeaderRule, query::QueryRule};

/// Rules for one and the same path, in order.
pub(super) type Rules = Vec<Rule>;

/// What must hold beside host and path.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) rank: Rank,
    method: Option<Method>,
    headers: Arc<[HeaderRule]>,
    query: Arc<[QueryRule]>,
}

/// The place among rules whose host and path are equally specific; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    route: RouteId,
    match_index: u32,
}

impl Rule {
    pub(super) fn new(route: RouteId, match_index: u32, accepted: &RouteMatch) -> Self {
        Self {
            rank: Rank {
                method: Reverse(accepted.method.is_some()),
                headers: Reverse(accepted.headers.len()),
                query: Reverse(accepted.query_params.len()),
                route,
                match_index,
            },
            method: accepted.method.clone(),
            headers: accepted.headers.iter().map(HeaderRule::new).collect(),
            query: accepted.query_params.iter().map(QueryRule::new).collect(),
        }
    }

    pub(super) fn choice(&self, prefix_len: Option<usize>) -> Choice {
        Choice { route: self.rank.route, match_index: self.rank.match_index, prefix_len }
    }

    pub(super) fn holds(&self, head: &Head<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == head.method)
            && self.headers.iter().all(|rule| rule.holds(head.headers))
            && self.query.iter().all(|rule| rule.holds(head.query))
    }
}

/// The first rule that holds.
pub(super) fn first<'a>(rules: &'a [Rule], head: &Head<'_>) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.holds(head))
}

pub(super) fn sort(rules: &mut Rules) {
    rules.sort_by_key(|rule| rule.rank);
}
