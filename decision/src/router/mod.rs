//! Route choice: which route matches a request; see `docs/configuration.md`, "How a route is
//! chosen".
//!
//! The candidates are all pairs of a hostname and a match that match the whole request, and the
//! most specific one wins. So a more specific hostname without a matching path falls through. The
//! order of precedence:
//!
//! 1. hostname: exact, then wildcard (longer first), then none
//! 2. path: exact, template, regex (longer first), prefix (longer first)
//! 3. a method, then a scheme
//! 4. the number of headers, then of query parameters, then of claims
//! 5. the position in the file
//!
//! A preflight of another origin (`cors`) is looked up with the method that it announces, and
//! without conditions on headers and claims, which it never has. Claims are checked last, because
//! that may require verifying a token.
//!
//! The tables have exactly this order, so the search ends with the first pair that matches, and a
//! trace can report why the others did not:
//! - hosts by hash, with one table of paths for each
//! - exact paths and prefixes by hash
//! - templates by a tree of elements
//! - regexes one after the other
//!
//! The time of a choice depends on the request, and on the number of regexes, or of rules for the
//! same path, of a host; it does not depend on the number of routes. Nothing is allocated, except
//! for an escaped query value that is matched against a regex.
//!
//! The tables are immutable. Their hash is fast and not keyed: the keys come from the
//! configuration, and clients can only look them up.

mod header;
mod host;
mod lookup;
mod path;
mod query;
mod rule;
mod table;
mod template;

use std::cell::Cell;

use http::{HeaderMap, Method};
use outrigger_config::model::{ProviderId, RouteId, Scheme};
use outrigger_filters::{claims::Claims, owned_headers::Own};

use self::rule::Rule;
use crate::{Trace, trace::Lost};

pub use table::RouteTable;

/// The request, as far as the choice depends on it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// Host as received; case, port and a trailing dot are ignored.
    pub host: Option<&'a str>,
    /// The canonical path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The method; for a preflight the one that it announces.
    pub method: &'a Method,
    /// The scheme that the client uses.
    pub scheme: Scheme,
    /// The header fields as received.
    pub headers: &'a HeaderMap,
    /// The fields that the proxy adds.
    pub own: Option<&'a Own>,
    /// Whether it is a preflight.
    pub preflight: bool,
    /// The tokens of the request; without them no condition on claims matches.
    pub tokens: Option<&'a dyn Tokens>,
}

/// The tokens of a request, verified when a match first needs them. A rejected token counts as
/// missing.
pub trait Tokens {
    /// Whether `holds` accepts the claims of a token of one of these providers; of any provider if
    /// the list is empty.
    fn any(&self, providers: &[ProviderId], holds: &mut dyn FnMut(&dyn Claims) -> bool) -> bool;
}

/// One choice in progress.
struct Search<'a, T> {
    head: &'a Head<'a>,
    trace: T,
    /// The choice, if there is a trace, which also gets the rules after it.
    won: Cell<Option<Choice>>,
}

impl<T: Trace> Search<'_, T> {
    /// Ends the search with a rule that matches; with a trace, only after all tables.
    #[inline]
    fn settle(&self, rule: &Rule, prefix_len: Option<usize>) -> Option<Choice> {
        let choice = rule.choice(prefix_len);
        if !T::LISTENS {
            return Some(choice);
        }
        match self.won.get() {
            Some(_) => rule.tell(Lost::Precedence, self),
            None => {
                self.trace.candidate(choice.route, choice.match_index, None);
                self.won.set(Some(choice));
            }
        }
        None
    }
}

/// The result of a route choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The route.
    pub route: RouteId,
    /// The index of the match.
    pub match_index: u32,
    /// For a prefix match, the length of the prefix in the path without a trailing slash: 0 for `/`.
    pub prefix_len: Option<usize>,
}

#[cfg(test)]
mod tests;
