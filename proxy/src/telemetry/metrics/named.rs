//! The names of the current configuration. Series of other names are dropped, so that a process
//! that is reloaded for months has no more series than its configuration.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use outrigger_config::model::{Action, Config, Route};

use super::shard::{NO_UPSTREAM, Series};

pub(super) struct Named {
    listeners: HashSet<Arc<str>>,
    routes: HashMap<Arc<str>, Served>,
}

/// The values that a route's requests can be counted under.
struct Served {
    listeners: Vec<Arc<str>>,
    upstreams: Vec<Arc<str>>,
}

impl Served {
    fn new(route: &Route, config: &Config) -> Self {
        let backends = match &route.action {
            Action::Forward(backends) => &backends[..],
            Action::Redirect(_) | Action::Respond(_) => &[],
        };
        Self {
            listeners: route
                .listeners
                .iter()
                .map(|id| Arc::clone(&config.listener(*id).name))
                .collect(),
            upstreams: backends
                .iter()
                .map(|one| Arc::clone(&config.upstream(one.upstream).name))
                .collect(),
        }
    }
}

impl Named {
    pub(super) fn new(config: &Config) -> Self {
        let routes = config.routes.iter();
        Self {
            listeners: config
                .listeners
                .iter()
                .map(|one| Arc::clone(&one.name))
                .collect(),
            routes: routes
                .map(|route| (Arc::clone(&route.name), Served::new(route, config)))
                .collect(),
        }
    }

    /// Whether requests can still be counted in `series`.
    pub(super) fn has(&self, series: &Series) -> bool {
        match self.routes.get(&series.route) {
            Some(served) => {
                let known =
                    *series.upstream == *NO_UPSTREAM || served.upstreams.contains(&series.upstream);
                known && served.listeners.contains(&series.listener)
            }
            // Requests without a route.
            None => series.route.is_empty() && self.listeners.contains(&series.listener),
        }
    }
}

#[cfg(test)]
mod tests {
    use outrigger_config::load_str;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn a_series_stays_while_its_listener_route_and_upstream_belong_together() {
        let yaml = "app: { port: 1 }\nupstreams: { b: { endpoints: [{ url: \"http://127.0.0.1:1\" }] } }\nlisteners:\n  \
                    - { name: in, port: 0 }\n  - { name: out, port: 0, direction: outbound }\nroutes:\n  \
                    - { name: one }\n  - { name: two, listeners: [out], backendRefs: [b] }\n";
        let config = load_str("test", yaml, &|_: &str| None).unwrap().config;
        let (metrics, none) = (Metrics::default(), NO_UPSTREAM);
        let shard = metrics.shard();
        for (listener, route, upstream, stays) in [
            ("in", "one", "app", true),
            ("in", "one", none, true),
            ("in", "one", "b", false),
            ("out", "one", "app", false),
            ("out", "two", "b", true),
            ("out", "three", "b", false),
            ("in", "", none, true),
            ("gone", "", none, false),
        ] {
            let [listener, route, upstream] = [listener, route, upstream].map(Arc::<str>::from);
            shard.series(&listener, &route, &upstream);
            let key = [listener, route, upstream];
            assert!(
                metrics.merged().contains_key(&key),
                "{key:?} before a configuration was named"
            );
            metrics.name(&config);
            metrics.forget();
            assert_eq!(metrics.merged().contains_key(&key), stays, "{key:?}");
        }
    }
}
