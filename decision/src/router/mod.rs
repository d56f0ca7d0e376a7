//! Route choice: which route takes a request, by `docs/configuration.md`, "How a route is chosen".
//!
//! All (hostname, match) pairs that match the whole request are candidates, the most specific wins, so a better
//! hostname without a matching path falls through. The order: hostname (exact, then wildcard, longer first, then none),
//! then path (exact, template, regex longer first, prefix longer first), then a named method, a named scheme, the number of headers,
//! the number of query parameters, the number of claims, the place in the file.
//!
//! A preflight of another origin (`cors`) is looked up with the method that it asks for, and without regard to headers and
//! claims, which it never has. Claims are looked at last, since that may mean to verify a token.
//!
//! The tables are laid out in just that order, so the first pair that holds is the answer, and what would say why
//! another did not can be told on the way: hosts by hash, one table of paths for each, exact paths and prefixes by
//! hash, templates by a tree of elements, regexes one after the other. The time a choice takes depends on
//! the request and on how many regexes, or how many rules for one and the same path, a host has; not on the number of
//! routes. Nothing is allocated, except for an escaped query value that a regex looks at.
//!
//! The tables are immutable. Their hash is fast and not keyed: its keys come from the configuration, a client can
//! only look something up.

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

/// What a choice looks at.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// Host as it was sent; case, port and a dot at the end do not matter.
    pub host: Option<&'a str>,
    /// The canonical path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The method; of a preflight the one that it asks for.
    pub method: &'a Method,
    /// What the client speaks.
    pub scheme: Scheme,
    /// The header fields that were received.
    pub headers: &'a HeaderMap,
    /// Those that the proxy itself will write.
    pub own: Option<&'a Own>,
    /// Whether it is a preflight.
    pub preflight: bool,
    /// The tokens of the request; none match nothing.
    pub tokens: Option<&'a dyn Tokens>,
}

/// The tokens of a request, verified when a match first asks for them. One that fails is none.
pub trait Tokens {
    /// Whether `holds` takes the claims of a token of one of these providers; of any provider when none is named.
    fn any(&self, providers: &[ProviderId], holds: &mut dyn FnMut(&dyn Claims) -> bool) -> bool;
}

/// One choice in the making.
struct Asking<'a, T> {
    head: &'a Head<'a>,
    trace: T,
    /// The choice, where a trace listens: it hears the rules behind it as well.
    won: Cell<Option<Choice>>,
}

impl<T: Trace> Asking<'_, T> {
    /// Ends the search with a rule that holds; where a trace listens, only at the end of all tables.
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

/// The route that takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The route.
    pub route: RouteId,
    /// Which of its matches held.
    pub match_index: u32,
    /// For a prefix match, the length of the prefix in the path without a trailing slash: 0 for `/`.
    pub prefix_len: Option<usize>,
}

#[cfg(test)]
mod tests;
