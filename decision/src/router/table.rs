//! The routes of one listener, compiled.

use std::cell::Cell;

use outrigger_config::model::{Config, ListenerId, Route, RouteId};

use super::{
    Asking, Choice, Head,
    host::Hosts,
    path::{CompiledPath, Paths},
    rule::Rule,
};
use crate::Trace;

/// The routes of one listener. A clone for each worker keeps its regexes free of contention.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    hosts: Hosts<Paths>,
    asks_for_claims: bool,
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
            self.asks_for_claims |= rule.asks_for_claims();
            if route.hostnames.is_empty() {
                self.hosts.table(None).insert(&path, rule.clone());
            }
            for name in &route.hostnames {
                self.hosts.table(Some(name)).insert(&path, rule.clone());
            }
        }
    }

    /// Whether any match asks for claims.
    pub fn asks_for_claims(&self) -> bool {
        self.asks_for_claims
    }

    /// Whether any route has host names: without them [`Head::host`] is not looked at.
    pub fn asks_for_host(&self) -> bool {
        self.hosts.have_names()
    }

    /// The route that takes this request; `None` is a 404.
    pub fn choose(&self, head: &Head<'_>) -> Option<Choice> {
        self.choose_and_tell(head, ())
    }

    /// The same; `trace` hears of every candidate.
    #[inline]
    pub fn choose_and_tell<T: Trace>(&self, head: &Head<'_>, trace: T) -> Option<Choice> {
        let asking = Asking {
            head,
            trace,
            won: Cell::new(None),
        };
        let found = self.hosts.find(head.host, |name, paths| {
            trace.hostname(name);
            paths.find(&asking)
        });
        found.or_else(|| asking.won.get())
    }
}
