//! The shared state of each upstream, which survives a reload while its model value is equal.
//! Looked up by name.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use http::HeaderMap;
use outrigger_config::model::{
    Config, EndpointSpec, LoadBalancerPolicy, NamedEndpoints, Upstream as Model,
};
use outrigger_decision::hash_key;
use outrigger_filters::retry::Budget;
use outrigger_transport::{
    address::LastLookup,
    dns::Endpoints,
    tls::client::{Connector, Observer, SystemRoots, TrustError},
};
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{balance::Balancer, breaker::Breaker, clock, endpoint::Endpoint, outlier};
use crate::{
    telemetry::{
        metrics::{EndpointReading, Reading},
        metrics::{Metrics, UpstreamCounters},
    },
    tls::report::TlsEvents,
};

/// One upstream at run time, shared by all workers.
pub(crate) struct Upstream {
    /// The accepted configuration.
    pub model: Model,
    /// TLS settings, with TLS.
    pub tls: Option<Arc<Connector>>,
    pub counters: Arc<UpstreamCounters>,
    /// Circuit breaker; `None` for the app.
    pub breaker: Option<Arc<Breaker>>,
    /// Retry budget of all routes and workers together.
    pub budget: Arc<Budget>,
    set: ArcSwap<EndpointSet>,
    /// Number of the endpoint set, so that a worker detects a new one by one plain load.
    generation: AtomicU64,
    /// A worker is about to eject an endpoint. Other workers do not wait: their next failure is
    /// soon enough.
    ejecting: AtomicBool,
    /// Notified of each new set.
    changed: Notify,
    /// With `dns`: the last lookup.
    pub lookup: LastLookup,
}

/// The endpoints of an upstream and their balancer; replaced as a whole when names or number
/// change.
pub(crate) struct EndpointSet {
    /// In the order of the file or of the DNS response.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Their weights, in the same order.
    pub weights: Vec<u32>,
    pub balancer: Balancer,
}

/// An upstream whose TLS settings cannot be used.
#[derive(Debug)]
pub(crate) struct UnusableTls {
    pub upstream: Arc<str>,
    pub error: TrustError,
}

impl EndpointSet {
    /// A set of these endpoints. Endpoints that are also in `old` keep their state.
    fn new(model: &Model, specs: &[EndpointSpec], old: &[Arc<Endpoint>]) -> Self {
        let mut left = old.to_vec();
        let endpoint = |spec: &EndpointSpec| {
            // Each is reused once: an address may appear in the list twice.
            if let Some(index) = left.iter().position(|one| one.address.is_at(spec)) {
                return left.swap_remove(index);
            }
            let new = Endpoint::new(spec.clone());
            if !old.is_empty() {
                // Endpoints that start together need no slow start.
                new.begin_slowly(clock::micros());
            }
            Arc::new(new)
        };
        let endpoints: Vec<Arc<Endpoint>> = specs.iter().map(endpoint).collect();
        let known = endpoints
            .iter()
            .zip(specs)
            .map(|(endpoint, spec)| (&*endpoint.address.label, spec.weight));
        let balancer = Balancer::new(model.load_balancer.policy, known);
        let weights = specs.iter().map(|spec| spec.weight).collect();
        Self {
            endpoints,
            weights,
            balancer,
        }
    }
}

impl Upstream {
    fn new(model: &Model, tls: Option<Arc<Connector>>, counters: Arc<UpstreamCounters>) -> Self {
        let set = Arc::new(EndpointSet::new(model, &model.endpoints, &[]));
        let budget = Arc::new(Budget::new(model.retry_budget, Instant::now()));
        let breaker = model.circuit_breaker.as_ref();
        let breaker = breaker.map(|limits| Arc::new(Breaker::new(&model.name, limits)));
        Self::over(set, model, tls, counters, budget, breaker)
    }

    /// The same upstream after a file that it names was replaced: all state but its connections is
    /// kept.
    fn renewed(&self, model: &Model, tls: Option<Arc<Connector>>) -> Self {
        let (counters, budget) = (Arc::clone(&self.counters), Arc::clone(&self.budget));
        Self::over(
            self.set(),
            model,
            tls,
            counters,
            budget,
            self.breaker.clone(),
        )
    }

    fn over(
        set: Arc<EndpointSet>,
        model: &Model,
        tls: Option<Arc<Connector>>,
        counters: Arc<UpstreamCounters>,
        budget: Arc<Budget>,
        breaker: Option<Arc<Breaker>>,
    ) -> Self {
        Self {
            model: model.clone(),
            tls,
            counters,
            breaker,
            budget,
            set: ArcSwap::new(set),
            generation: AtomicU64::new(0),
            ejecting: AtomicBool::new(false),
            changed: Notify::new(),
            lookup: LastLookup::default(),
        }
    }

    pub(crate) fn set(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// The number of the current set. A worker reads it before the set, so at worst it reads the
    /// set once more.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Replaces the endpoint set. Endpoints that stay keep their state and connections. Removed
    /// ones get no new requests, and are dropped when their requests have ended. For one caller at
    /// a time.
    pub(crate) fn replace_endpoints(&self, specs: &[EndpointSpec]) {
        let old = self.set();
        self.set.store(Arc::new(EndpointSet::new(
            &self.model,
            specs,
            &old.endpoints,
        )));
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Ready after the next change of the set, counted from this call on.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Whether balancing uses response times.
    pub(super) fn reads_latency(&self) -> bool {
        self.model.load_balancer.policy == LoadBalancerPolicy::PeakEwma
    }

    /// The hash key of a request; `None` without `consistentHash`.
    pub(crate) fn key(&self, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
        self.model
            .load_balancer
            .hash_on
            .as_ref()
            .and_then(|on| hash_key::of_request(on, headers, client))
    }

    /// The exclusive right to eject this endpoint, if one more may be ejected now.
    pub(super) fn may_eject(&self, endpoint: &Endpoint) -> Option<Ejecting<'_>> {
        let turn = Ejecting::begin(&self.ejecting)?;
        let set = self.set.load();
        let out = set
            .endpoints
            .iter()
            .filter(|one| one.outlier.is_out())
            .count();
        let others = set
            .endpoints
            .iter()
            .filter(|one| one.id != endpoint.id && one.is_usable())
            .count();
        let percent = self.model.outlier_detection.as_ref()?.max_ejection_percent;
        outlier::may_eject(set.endpoints.len(), out, others, percent).then_some(turn)
    }

    /// The current state, for metrics.
    pub(crate) fn read(&self) -> Reading {
        let set = self.set.load();
        let endpoint = |one: &Arc<Endpoint>| EndpointReading {
            endpoint: Arc::clone(&one.address.label),
            ejected: one.outlier.is_out(),
            healthy: self.model.health_check.is_some().then(|| one.is_healthy()),
        };
        Reading {
            upstream: Arc::clone(&self.model.name),
            endpoints: set.endpoints.iter().map(endpoint).collect(),
            in_use: self.breaker.as_ref().map(|breaker| breaker.in_use()),
        }
    }
}

impl Endpoints for Upstream {
    fn label(&self) -> &Arc<str> {
        &self.model.name
    }

    fn named(&self) -> Option<&NamedEndpoints> {
        self.model.dns.as_ref()
    }

    fn lookup(&self) -> &LastLookup {
        &self.lookup
    }

    fn replace(&self, endpoints: &[EndpointSpec]) {
        self.replace_endpoints(endpoints);
    }
}

/// The exclusive right to eject an endpoint: two workers at once would each count room for one.
pub(super) struct Ejecting<'a>(&'a AtomicBool);

impl<'a> Ejecting<'a> {
    fn begin(taken: &'a AtomicBool) -> Option<Self> {
        (!taken.swap(true, Ordering::Acquire)).then_some(Self(taken))
    }
}

impl Drop for Ejecting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The upstreams of `config`, in its order. Upstreams of `old` with an equal model value are
/// carried over with their counters, resolved addresses and endpoint state. Where only the content
/// of a file changed, connections are new and the rest is carried over.
///
/// # Errors
/// TLS settings of an upstream cannot be used.
pub(crate) fn upstreams(
    config: &Config,
    old: &[Arc<Upstream>],
    metrics: &Metrics,
    tls_events: &TlsEvents,
) -> Result<Vec<Arc<Upstream>>, UnusableTls> {
    let old: HashMap<&str, &Arc<Upstream>> =
        old.iter().map(|one| (&*one.model.name, one)).collect();
    let mut system = SystemRoots::default();
    let observer: Arc<dyn Observer> = Arc::new(tls_events.clone());
    let mut upstream = |model: &Model| {
        let kept = old.get(&*model.name);
        if let Some(same) = kept.filter(|kept| kept.model == *model) {
            return Ok(Arc::clone(same));
        }
        let connector =
            |tls| Connector::build(&model.name, tls, &mut system, &observer).map(Arc::new);
        let tls = model.tls.as_deref().map(connector).transpose();
        let tls = tls.map_err(|error| UnusableTls {
            upstream: Arc::clone(&model.name),
            error,
        })?;
        Ok(Arc::new(
            match kept.filter(|kept| kept.model.same_block(model)) {
                Some(kept) => kept.renewed(model, tls),
                None => Upstream::new(model, tls, metrics.upstream(&model.name)),
            },
        ))
    };
    config.upstreams.iter().map(&mut upstream).collect()
}

#[cfg(test)]
mod tests {
    use outrigger_config::load_str;

    use super::*;

    fn upstream(endpoints: &str) -> Model {
        let yaml = format!(
            "upstreams: {{ u: {{ endpoints: [{endpoints}] }} }}\nroutes: [{{ name: r, backendRefs: [u] }}]"
        );
        let loaded = load_str("outrigger.yaml", &yaml, &|_: &str| None);
        let config = loaded
            .unwrap_or_else(|error| panic!("{}", error.render(false)))
            .config;
        config.upstreams.into_iter().next().unwrap()
    }

    fn labels(set: &EndpointSet) -> Vec<&str> {
        set.endpoints
            .iter()
            .map(|one| &*one.address.label)
            .collect()
    }

    #[test]
    fn endpoints_that_stay_are_the_same_ones_and_a_new_set_has_a_new_number() {
        let model = upstream("{ url: http://10.0.0.1 }, { url: http://10.0.0.2 }");
        let upstream = Upstream::new(&model, None, Arc::default());
        let (before, number) = (upstream.set(), upstream.generation());
        let next = self::upstream(
            "{ url: http://10.0.0.3 }, { url: http://10.0.0.2, weight: 5 }, { url: http://10.0.0.2 }",
        );
        upstream.replace_endpoints(&next.endpoints);
        let after = upstream.set();
        assert_eq!(
            labels(&after),
            ["10.0.0.3:80", "10.0.0.2:80", "10.0.0.2:80"]
        );
        assert!(
            Arc::ptr_eq(&before.endpoints[1], &after.endpoints[1]),
            "also with another weight"
        );
        assert!(
            !Arc::ptr_eq(&after.endpoints[1], &after.endpoints[2]),
            "but only once"
        );
        assert_ne!(upstream.generation(), number);
        assert_eq!(
            labels(&before),
            ["10.0.0.1:80", "10.0.0.2:80"],
            "a handle that exists does not change"
        );
    }
}
