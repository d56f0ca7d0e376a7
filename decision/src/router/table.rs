//! The routes of one listener, compiled.

use std::cell::Cell;

use outrigger_config::model::{Config, ListenerId, Route, RouteId};

use super::{
    Choice, Head, Search,
    host::Hosts,
    path::{CompiledPath, Paths},
    rule::Rule,
};
use crate::Trace;

/// The routes of one listener. A clone for each worker keeps its regexes free of contention.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    hosts: Hosts<Paths>,
    needs_claims: bool,
}

impl RouteTable {
    /// Compiles the routes that serve `listener`.
    pub fn new(config: &Config, listener: ListenerId) -> Self {
        Self::of_routes(&config.routes, listener)
    }

    /// Compiles those of `routes`, in file order, that serve `listener`.
    pub fn of_routes(routes: &[Route], listener: ListenerId) -> Self {
        let mut table = Self::default();
        for (id, route) in (0..).map(RouteId).zip(routes) {
            if route.listeners.contains(&listener) {
                table.insert(id, route);
            }
        }
        table.hosts.finish(Paths::finish);
        table
    }

    fn insert(&mut self, id: RouteId, route: &Route) {
        for (match_index, accepted) in (0..).zip(&route.matches) {
            let path = CompiledPath::new(&accepted.path);
            let rule = Rule::new(id, match_index, route, accepted);
            self.needs_claims |= rule.needs_claims();
            if route.hostnames.is_empty() {
                self.hosts.table(None).insert(&path, rule.clone());
            }
            for name in &route.hostnames {
                self.hosts.table(Some(name)).insert(&path, rule.clone());
            }
        }
    }

    /// Whether any match has conditions on claims.
    pub fn needs_claims(&self) -> bool {
        self.needs_claims
    }

    /// Whether any route has host names: without them [`Head::host`] is not used.
    pub fn needs_host(&self) -> bool {
        self.hosts.have_names()
    }

    /// The route that matches this request; `None` is a 404.
    pub fn choose(&self, head: &Head<'_>) -> Option<Choice> {
        self.choose_and_tell(head, ())
    }

    /// The same; `trace` gets every candidate.
    #[inline]
    pub fn choose_and_tell<T: Trace>(&self, head: &Head<'_>, trace: T) -> Option<Choice> {
        let search = Search {
            head,
            trace,
            won: Cell::new(None),
        };
        let found = self.hosts.find(head.host, |name, paths| {
            trace.hostname(name);
            paths.find(&search)
        });
        found.or_else(|| search.won.get())
    }
}
