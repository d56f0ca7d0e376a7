//! One worker's side of an upstream: its pools, and which of them the next request goes to.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use http::HeaderValue;
use outrigger_config::model::SecretText;

use super::{
    balance::Endpoints,
    endpoint::{Endpoint, InFlight},
    pool::Pool,
    registry::{EndpointSet, Upstream},
};
use crate::telemetry::metrics::UpstreamCounters;

/// One upstream with this worker's connections to it.
pub(crate) struct LocalUpstream {
    /// The shared side.
    pub shared: Arc<Upstream>,
    /// What is counted about it.
    pub counters: Arc<UpstreamCounters>,
    /// Authorization of every request: this worker's own, so that no request bumps a count that others do.
    pub authorization: Option<HeaderValue>,
    current: RefCell<Current>,
    retired: Cell<bool>,
}

/// The set of endpoints that this worker knows.
struct Current {
    generation: u64,
    set: Arc<EndpointSet>,
    /// By endpoint.
    pools: Vec<Rc<Pool>>,
}

/// The endpoint of one try.
pub(crate) struct Picked {
    /// This worker's connections to it.
    pub pool: Rc<Pool>,
    /// Counts the try until the last byte of its answer.
    pub in_flight: InFlight,
}

/// The endpoints that a request was sent to already; the next try goes to another one where there is one.
#[derive(Debug, Default)]
pub(crate) struct Tried(Vec<u32>);

impl Tried {
    /// The next try avoids the endpoint of this one.
    pub(crate) fn add(&mut self, endpoint: &Endpoint) {
        self.0.push(endpoint.id);
    }

    /// Whether the next try is the first.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, endpoint: &Endpoint) -> bool {
        self.0.contains(&endpoint.id)
    }
}

impl LocalUpstream {
    /// A worker's side of `shared`, without connections.
    pub(crate) fn new(shared: &Arc<Upstream>, counters: &Arc<UpstreamCounters>) -> Self {
        let generation = shared.generation();
        let set = shared.set();
        let pools = set.endpoints.iter().map(|endpoint| pool(shared, counters, endpoint)).collect();
        Self {
            shared: Arc::clone(shared),
            counters: Arc::clone(counters),
            authorization: shared.model.bearer_token.as_ref().and_then(bearer),
            current: RefCell::new(Current { generation, set, pools }),
            retired: Cell::new(false),
        }
    }

    /// The endpoint for the next try of a request; `None` when there is none.
    pub(crate) fn pick(&self, tried: &Tried) -> Option<Picked> {
        self.follow();
        let current = self.current.borrow();
        let index = current.set.balancer.choose(&Choice { endpoints: &current.set.endpoints, tried })?;
        let pool = Rc::clone(&current.pools[index]);
        let in_flight = InFlight::begin(pool.endpoint());
        Some(Picked { pool, in_flight })
    }

    /// Closes idle connections now and busy ones after their request: the upstream is gone from the configuration.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.current.borrow().pools.iter().for_each(|pool| pool.retire());
    }

    /// Takes over a set of endpoints that was replaced: connections to those that stay are kept.
    pub(crate) fn follow(&self) {
        let generation = self.shared.generation();
        if self.current.borrow().generation == generation {
            return;
        }
        let set = self.shared.set();
        let mut current = self.current.borrow_mut();
        let old = std::mem::take(&mut current.pools);
        let kept = |endpoint: &Arc<Endpoint>| old.iter().find(|pool| Arc::ptr_eq(pool.endpoint(), endpoint));
        let new = |endpoint: &Arc<Endpoint>| {
            kept(endpoint).map_or_else(|| pool(&self.shared, &self.counters, endpoint), Rc::clone)
        };
        current.pools = set.endpoints.iter().map(new).collect();
        for gone in old.iter().filter(|old| !current.pools.iter().any(|kept| Rc::ptr_eq(kept, old))) {
            gone.retire();
        }
        if self.retired.get() {
            current.pools.iter().for_each(|pool| pool.retire());
        }
        current.set = set;
        current.generation = generation;
    }
}

/// The loader takes a token only that a field can carry.
fn bearer(token: &SecretText) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn pool(shared: &Upstream, counters: &Arc<UpstreamCounters>, endpoint: &Arc<Endpoint>) -> Rc<Pool> {
    let (settings, tls) = (shared.model.connections.clone(), shared.tls.clone());
    Rc::new(Pool::new(Arc::clone(endpoint), settings, tls, Arc::clone(counters)))
}

/// What the balancer asks.
struct Choice<'a> {
    endpoints: &'a [Arc<Endpoint>],
    tried: &'a Tried,
}

impl Endpoints for Choice<'_> {
    fn is_available(&self, index: usize) -> bool {
        self.endpoints[index].is_available()
    }

    fn was_tried(&self, index: usize) -> bool {
        self.tried.has(&self.endpoints[index])
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.endpoints[index].in_flight()
    }
}

#[cfg(test)]
mod tests {
    use outrigger_config::{load_str, model};

    use super::*;
    use crate::{tls::notes::Teller, upstream::registry};

    fn config(endpoints: &str) -> model::Config {
        let yaml = format!(
            "upstreams: {{ u: {{ endpoints: [{endpoints}], loadBalancer: {{ policy: random }} }} }}\n\
             routes: [{{ name: r, backendRefs: [u] }}]"
        );
        let loaded = load_str("outrigger.yaml", &yaml, &|_: &str| None);
        loaded.unwrap_or_else(|error| panic!("{}", error.render(false))).config
    }

    #[test]
    fn a_worker_follows_a_set_that_is_replaced_and_keeps_the_pools_of_those_that_stay() {
        let config_of_two = config("{ url: http://10.0.0.1 }, { url: http://10.0.0.2 }");
        let shared = registry::upstreams(&config_of_two, &[], &Teller::new().1).unwrap();
        let local = LocalUpstream::new(&shared[0], &Arc::default());
        let stays = Rc::clone(&local.current.borrow().pools[1]);
        let busy = local.pick(&Tried::default()).unwrap();
        let next = config("{ url: http://10.0.0.2 }, { url: http://10.0.0.3 }");
        shared[0].replace_endpoints(&next.upstreams[0].endpoints);
        let mut seen = Vec::new();
        for _ in 0..200 {
            let picked = local.pick(&Tried::default()).unwrap();
            seen.push(picked.pool.endpoint().label.to_string());
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["10.0.0.2:80", "10.0.0.3:80"]);
        assert!(Rc::ptr_eq(&local.current.borrow().pools[0], &stays));
        assert_eq!(busy.pool.endpoint().in_flight(), 1, "what is on its way ends by itself");
    }
}
