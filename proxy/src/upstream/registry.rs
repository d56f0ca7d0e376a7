//! What outlives a reload: the shared state of each upstream, by name, as long as its model value is equal.

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
    /// As accepted.
    pub model: Model,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<Connector>>,
    /// What is counted about it.
    pub counters: Arc<UpstreamCounters>,
    /// What is under way to it; `None` for the app.
    pub breaker: Option<Arc<Breaker>>,
    /// What all routes and workers together may send a second time.
    pub budget: Arc<Budget>,
    set: ArcSwap<EndpointSet>,
    /// One more with every set, so that a worker sees by one plain load that its own is still the current one.
    generation: AtomicU64,
    /// Somebody is about to eject an endpoint. Nobody waits for that: the next failure is soon enough.
    ejecting: AtomicBool,
    /// Told of each new set.
    changed: Notify,
    /// With `dns`: when that was last looked up.
    pub lookup: LastLookup,
}

/// The endpoints of an upstream and the choice among them; replaced as a whole when their names or number change.
pub(crate) struct EndpointSet {
    /// In the order of the file, or of the answer that named them.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Their shares, in the same order.
    pub weights: Vec<u32>,
    /// Chooses among them.
    pub balancer: Balancer,
}

/// The TLS of an upstream that cannot be spoken.
#[derive(Debug)]
pub(crate) struct Untrusting {
    /// The upstream.
    pub upstream: Arc<str>,
    /// Why.
    pub error: TrustError,
}

impl EndpointSet {
    /// A set of these; endpoints of `old` that are the same stay, with everything that is known about them.
    fn new(model: &Model, specs: &[EndpointSpec], old: &[Arc<Endpoint>]) -> Self {
        let mut left = old.to_vec();
        let endpoint = |spec: &EndpointSpec| {
            // Each is taken once: one address may stand in a list twice.
            if let Some(index) = left.iter().position(|one| one.address.is_at(spec)) {
                return left.swap_remove(index);
            }
            let new = Endpoint::new(spec.clone());
            if !old.is_empty() {
                new.begin_slowly(clock::micros()); // those that begin together are none of them new
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

    /// The same upstream after a file that it names was replaced: everything but its connections stays.
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

    /// The current endpoints.
    pub(crate) fn set(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// Which set is the current one. Read before the set itself, so that a worker at worst looks once more.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// From now on these are the endpoints. Those that stay keep what is known about them and their connections;
    /// those that are gone get no new requests and end when theirs have ended. For one caller at a time.
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

    /// Whether the time that answers take counts for the choice.
    pub(super) fn reads_latency(&self) -> bool {
        self.model.load_balancer.policy == LoadBalancerPolicy::PeakEwma
    }

    /// What a request hashes to; `None` where nobody asks.
    pub(crate) fn key(&self, headers: &HeaderMap, client: IpAddr) -> Option<u64> {
        self.model
            .load_balancer
            .hash_on
            .as_ref()
            .and_then(|on| hash_key::of_request(on, headers, client))
    }

    /// The turn to eject this endpoint, if one more may be out now.
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
            .filter(|one| one.id != endpoint.id && one.is_well())
            .count();
        let percent = self.model.outlier_detection.as_ref()?.max_ejection_percent;
        outlier::may_eject(set.endpoints.len(), out, others, percent).then_some(turn)
    }

    /// What is known of it now.
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

/// The turn to eject an endpoint: two workers that look at once would each see room for one.
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

/// The upstreams of `config`, in its order; those of `old` whose model value is equal are carried over with their
/// counters, resolved addresses, and what is known about their endpoints. Where only the content of a file is another one, connections are new and the rest is
/// carried over.
///
/// # Errors
/// The TLS of one cannot be spoken.
pub(crate) fn upstreams(
    config: &Config,
    old: &[Arc<Upstream>],
    metrics: &Metrics,
    tls_events: &TlsEvents,
) -> Result<Vec<Arc<Upstream>>, Untrusting> {
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
        let tls = tls.map_err(|error| Untrusting {
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
            "what somebody holds does not change"
        );
    }
}
