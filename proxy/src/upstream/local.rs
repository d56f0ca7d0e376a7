//! One worker's side of an upstream: its connection pools, and the choice of an endpoint for each
//! request.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use http::HeaderValue;
use outrigger_config::model::{SecretText, UpstreamKind};
use outrigger_filters::{context::Context, error::Error, reason::Reason, retry::RetryReason};
use outrigger_transport::credentials;
use tokio::time::Instant;

use super::{
    balance::Endpoints,
    clock,
    endpoint::Endpoint,
    in_flight::InFlight,
    outlier::Entry,
    pool::Pool,
    registry::{EndpointSet, Upstream},
};

/// One upstream with this worker's connections to it.
pub(crate) struct LocalUpstream {
    pub shared: Arc<Upstream>,
    /// Authorization header of every request. One for each worker, so that workers do not contend
    /// for its reference count.
    pub authorization: Option<HeaderValue>,
    current: RefCell<Current>,
    retired: Cell<bool>,
}

/// The endpoint set that this worker uses.
struct Current {
    generation: u64,
    set: Arc<EndpointSet>,
    /// One for each endpoint, in the same order.
    pools: Vec<Rc<Pool>>,
}

/// The endpoint of one attempt.
pub(crate) struct Picked {
    pub pool: Rc<Pool>,
    /// Counts the attempt until the last byte of its response.
    pub in_flight: InFlight,
}

/// Endpoints that a request was already sent to; the next attempt prefers another one.
#[derive(Debug, Default)]
pub(crate) struct Tried(Vec<u32>);

impl Tried {
    /// Adds an endpoint, which the next attempt avoids.
    pub(crate) fn add(&mut self, endpoint: &Endpoint) {
        self.0.push(endpoint.id);
    }

    /// Whether the next attempt is the first.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the request was sent to this endpoint.
    pub(crate) fn has(&self, endpoint: &Endpoint) -> bool {
        self.0.contains(&endpoint.id)
    }
}

impl LocalUpstream {
    /// A worker's side of `shared`, without connections.
    pub(crate) fn new(shared: &Arc<Upstream>) -> Self {
        let generation = shared.generation();
        let set = shared.set();
        let pools = set
            .endpoints
            .iter()
            .map(|endpoint| pool(shared, endpoint))
            .collect();
        Self {
            shared: Arc::clone(shared),
            authorization: shared.model.bearer_token.as_ref().and_then(bearer),
            current: RefCell::new(Current {
                generation,
                set,
                pools,
            }),
            retired: Cell::new(false),
        }
    }

    /// Chooses the endpoint for the next attempt of a request.
    ///
    /// # Errors
    /// No endpoint is available, or the circuit breaker is open.
    pub(crate) fn pick(&self, tried: &Tried, context: &Context) -> Result<Picked, Error> {
        self.follow();
        let breaker = self.shared.breaker.as_ref();
        if let Some(full) = breaker.filter(|breaker| !breaker.enter()) {
            self.shared.counters.overflowed(false);
            let upstream = Arc::clone(&self.shared.model.name);
            return Err(Error::Overloaded {
                upstream,
                reason: Reason::UpstreamMaxRequests,
                state: full.too_many(),
            });
        }
        let picked = self.pick_one(tried, context);
        if picked.is_err() {
            breaker.inspect(|breaker| breaker.leave());
        }
        picked
    }

    fn pick_one(&self, tried: &Tried, context: &Context) -> Result<Picked, Error> {
        let current = self.current.borrow();
        let choice = Choice::new(&self.shared, &current.set.endpoints, tried, context);
        loop {
            let Some(index) = current.set.balancer.choose(&choice) else {
                return Err(choice.none());
            };
            let pool = &current.pools[index];
            if let Some(in_flight) = self.enter(pool.endpoint(), &choice, context) {
                return Ok(Picked {
                    pool: Rc::clone(pool),
                    in_flight,
                });
            }
            // Another worker has just sent the probe request; this endpoint is not available any
            // more.
        }
    }

    fn enter(
        &self,
        endpoint: &Arc<Endpoint>,
        choice: &Choice<'_>,
        context: &Context,
    ) -> Option<InFlight> {
        if self.shared.model.kind == UpstreamKind::App {
            return Some(InFlight::begin(endpoint));
        }
        let entry = match endpoint.outlier.enter(|| choice.now()) {
            Entry::Closed if !choice.panics() => return None,
            entry => entry,
        };
        Some(InFlight::watch(
            endpoint,
            &self.shared,
            context,
            entry,
            || choice.now(),
        ))
    }

    /// Whether a request may be sent once more; it is counted if so. The retry budget pays for it,
    /// unless the endpoint did not process the first attempt at all: that caused no load, and a
    /// restarting app may cause many of them at once.
    pub(crate) fn may_retry(&self, reason: RetryReason) -> bool {
        let paid = reason == RetryReason::Unsent || self.may_hedge();
        if paid {
            self.shared.counters.retried(reason);
        }
        paid
    }

    /// The same for a hedged attempt, which is counted when it has ended.
    pub(crate) fn may_hedge(&self) -> bool {
        let paid = self.shared.budget.spend(Instant::now());
        if !paid {
            self.shared.counters.budget_exhausted();
        }
        paid
    }

    /// Closes idle connections now, and busy ones after their request: the upstream was removed
    /// from the configuration.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.current
            .borrow()
            .pools
            .iter()
            .for_each(|pool| pool.retire());
    }

    /// Takes over a replaced endpoint set; endpoints that stay keep their connections.
    pub(crate) fn follow(&self) {
        let generation = self.shared.generation();
        if self.current.borrow().generation == generation {
            return;
        }
        let set = self.shared.set();
        let mut current = self.current.borrow_mut();
        let old = std::mem::take(&mut current.pools);
        let kept = |endpoint: &Arc<Endpoint>| {
            old.iter()
                .find(|pool| Arc::ptr_eq(pool.endpoint(), endpoint))
        };
        let new = |endpoint: &Arc<Endpoint>| {
            kept(endpoint).map_or_else(|| pool(&self.shared, endpoint), Rc::clone)
        };
        current.pools = set.endpoints.iter().map(new).collect();
        for gone in old
            .iter()
            .filter(|old| !current.pools.iter().any(|kept| Rc::ptr_eq(kept, old)))
        {
            gone.retire();
        }
        if self.retired.get() {
            current.pools.iter().for_each(|pool| pool.retire());
        }
        current.set = set;
        current.generation = generation;
    }
}

/// The loader accepts only tokens that a header can contain.
fn bearer(token: &SecretText) -> Option<HeaderValue> {
    credentials::bearer(token.expose()).ok()
}

fn pool(shared: &Upstream, endpoint: &Arc<Endpoint>) -> Rc<Pool> {
    let (settings, tls) = (shared.model.connections.clone(), shared.tls.clone());
    let (counters, breaker) = (Arc::clone(&shared.counters), shared.breaker.clone());
    Rc::new(Pool::new(
        Arc::clone(endpoint),
        settings,
        tls,
        counters,
        breaker,
    ))
}

/// One choice of an endpoint, as the balancer sees it.
struct Choice<'a> {
    upstream: &'a Upstream,
    endpoints: &'a [Arc<Endpoint>],
    tried: &'a Tried,
    context: &'a Context,
    /// Read only when needed; never while all endpoints are healthy.
    now: Cell<Option<u64>>,
    /// Computed only when needed.
    panics: Cell<Option<bool>>,
}

impl<'a> Choice<'a> {
    fn new(
        upstream: &'a Upstream,
        endpoints: &'a [Arc<Endpoint>],
        tried: &'a Tried,
        context: &'a Context,
    ) -> Self {
        Self {
            upstream,
            endpoints,
            tried,
            context,
            now: Cell::new(None),
            panics: Cell::new(None),
        }
    }

    fn now(&self) -> u64 {
        let now = self.now.get().unwrap_or_else(clock::micros);
        self.now.set(Some(now));
        now
    }

    /// Panic mode: so few endpoints are usable that the whole load would overload them too.
    fn panics(&self) -> bool {
        let panics = self.panics.get().unwrap_or_else(|| {
            let reachable = self
                .endpoints
                .iter()
                .filter(|one| one.address.is_resolved())
                .count();
            let well = self.endpoints.iter().filter(|one| one.is_usable()).count();
            well * 100 < reachable * usize::from(self.upstream.model.load_balancer.panic_percent)
        });
        self.panics.set(Some(panics));
        panics
    }

    /// Why no endpoint is available.
    fn none(&self) -> Error {
        let upstream = Arc::clone(&self.upstream.model.name);
        let count =
            |what: fn(&Endpoint) -> bool| self.endpoints.iter().filter(|one| what(one)).count();
        let lost = count(|one| !one.address.is_resolved());
        let unhealthy = count(|one| one.address.is_resolved() && !one.is_healthy());
        let all = self.endpoints.len();
        let state = counted(all, [all - lost - unhealthy, unhealthy, lost]);
        match lost == all {
            true => Error::NoEndpoint { upstream, state },
            false => Error::NoHealthyEndpoint { upstream, state },
        }
    }
}

/// Counts what makes `all` endpoints unusable: ejected, unhealthy, and without an address.
fn counted(all: usize, [ejected, unhealthy, lost]: [usize; 3]) -> Box<str> {
    let kinds = [
        (ejected, "ejected"),
        (unhealthy, "unhealthy"),
        (lost, "without an address"),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(count, _)| *count > 0).collect();
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match all {
        0 => "DNS has returned no endpoint yet".into(),
        1 => format!("1 endpoint: {}", kinds.join(", ")).into(),
        _ => format!("{all} endpoints: {}", kinds.join(", ")).into(),
    }
}

impl Endpoints for Choice<'_> {
    fn is_available(&self, index: usize) -> bool {
        let endpoint = &self.endpoints[index];
        let may_come = endpoint.is_healthy() && endpoint.outlier.admits(|| self.now());
        endpoint.address.is_resolved() && (may_come || self.panics())
    }

    fn is_first_attempt(&self) -> bool {
        self.tried.is_empty()
    }

    fn was_attempted(&self, index: usize) -> bool {
        self.tried.has(&self.endpoints[index])
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.endpoints[index].in_flight()
    }

    fn is_failing(&self, index: usize) -> bool {
        self.endpoints[index].failures.is_failing()
    }

    fn latency(&self, index: usize) -> Option<f64> {
        self.endpoints[index].latency.estimate(self.now())
    }

    fn warmth(&self, index: usize) -> f64 {
        match self.upstream.model.load_balancer.slow_start {
            Some(window) => self.endpoints[index].warmth(window.as_micros() as u64, || self.now()),
            None => 1.0,
        }
    }

    fn key(&self) -> Option<u64> {
        self.context.hash_key.get()
    }
}

#[cfg(test)]
mod tests {
    use outrigger_config::{load_str, model};
    use outrigger_filters::{context::Exchange, recycle::Alarm};
    use tokio::time::Instant;

    use super::*;
    use crate::{telemetry::events::Reporter, telemetry::metrics::Metrics, upstream::registry};

    fn config(endpoints: &str) -> model::Config {
        let yaml = format!(
            "upstreams: {{ u: {{ endpoints: [{endpoints}], loadBalancer: {{ policy: random }} }} }}\n\
             routes: [{{ name: r, backendRefs: [u] }}]"
        );
        let loaded = load_str("outrigger.yaml", &yaml, &|_: &str| None);
        loaded
            .unwrap_or_else(|error| panic!("{}", error.render(false)))
            .config
    }

    fn context() -> Context {
        Exchange::begin(
            Instant::now(),
            [127, 0, 0, 1].into(),
            None,
            Alarm::default(),
        )
    }

    #[test]
    fn what_keeps_endpoints_from_being_used_is_counted() {
        assert_eq!(
            &*counted(3, [2, 1, 0]),
            "3 endpoints: 2 ejected, 1 unhealthy"
        );
        assert_eq!(&*counted(1, [0, 0, 1]), "1 endpoint: 1 without an address");
        assert_eq!(&*counted(0, [0; 3]), "DNS has returned no endpoint yet");
    }

    #[test]
    fn a_worker_follows_a_set_that_is_replaced_and_keeps_the_pools_of_those_that_stay() {
        let config_of_two = config("{ url: http://10.0.0.1 }, { url: http://10.0.0.2 }");
        let metrics = Metrics::default();
        let shared =
            registry::upstreams(&config_of_two, &[], &metrics, &Reporter::new().1).unwrap();
        let local = LocalUpstream::new(&shared[0]);
        let stays = Rc::clone(&local.current.borrow().pools[1]);
        let pick = || {
            local
                .pick(&Tried::default(), &context())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let busy = pick();
        let next = config("{ url: http://10.0.0.2 }, { url: http://10.0.0.3 }");
        shared[0].replace_endpoints(&next.upstreams[0].endpoints);
        let mut seen = Vec::new();
        for _ in 0..200 {
            seen.push(pick().pool.endpoint().address.label.to_string());
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["10.0.0.2:80", "10.0.0.3:80"]);
        assert!(Rc::ptr_eq(&local.current.borrow().pools[0], &stays));
        assert_eq!(
            busy.pool.endpoint().in_flight(),
            1,
            "what is on its way ends by itself"
        );
    }
}
