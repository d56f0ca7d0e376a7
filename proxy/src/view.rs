//! One worker's part of a snapshot: chains, pools and metric series that never leave its thread.
//!
//! A request takes one view when its head is complete and keeps it until its last byte, so a reload
//! never changes a request in flight.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use outrigger_config::model::{
    Action, Config, ConnectionSettings, Direction, ExtAuth, ListenerId, RateLimit, RouteId, Store,
    UpstreamId,
};
use outrigger_decision::{Runtime, auth::Verifiers, router::RouteTable};
use outrigger_filters::{
    access_log::Sampler, claim_headers::ClaimHeaders, concurrency::Gate, cors, jwt::TokenCache,
    rate_limit::Limit, service::BoxService, step::Steps,
};

use crate::{
    chain,
    jwks::keys::ProviderKeys,
    rate_limit,
    snapshot::Snapshot,
    telemetry::metrics::{ExtAuthCounters, LocalSeries, MirrorCounters, NO_UPSTREAM, Shard},
    tls::server::Tls,
    upstream::{local::LocalUpstream, pool::Pool, service::Service},
};

/// Connect timeout for `extAuth` services; the `timeout` of the check is usually shorter.
const SERVICE_CONNECT: Duration = Duration::from_secs(1);

/// How long an idle connection to such a service is kept.
const SERVICE_IDLE: Duration = Duration::from_secs(30);

/// One worker's part of a snapshot.
pub(crate) struct View {
    /// The shared part.
    pub snapshot: Arc<Snapshot>,
    upstreams: Rc<[Rc<LocalUpstream>]>,
    /// Connections to `extAuth` services.
    services: Vec<(Arc<Service>, Rc<Pool>)>,
    /// The connection to Redis.
    redis: Option<Rc<rate_limit::Client>>,
    /// By [`RouteId`]; built on first use of a route, so that a reload of many routes costs a
    /// worker nothing.
    chains: Vec<OnceCell<BoxService>>,
    /// By listener and route; one more per listener for requests without route.
    series: Vec<OnceCell<SeriesOfRoute>>,
    shard: Arc<Shard>,
    sampler: Sampler,
    verifiers: Rc<Verifiers<ProviderKeys>>,
}

/// By the backends of a route, in their order; one more for requests without an upstream.
type SeriesOfRoute = Box<[OnceCell<LocalSeries>]>;

/// One pool for each service; connections to unchanged services are kept, others are closed.
fn services(
    snapshot: &Snapshot,
    old: &[(Arc<Service>, Rc<Pool>)],
) -> Vec<(Arc<Service>, Rc<Pool>)> {
    let is_kept =
        |known: &Arc<Service>| snapshot.services.iter().any(|one| Arc::ptr_eq(one, known));
    old.iter()
        .filter(|(known, _)| !is_kept(known))
        .for_each(|(_, gone)| gone.retire());
    let Some(counters) = &snapshot.service_counters else {
        return Vec::new();
    };
    let pool = |service: &Arc<Service>| {
        let kept = old.iter().find(|(known, _)| Arc::ptr_eq(known, service));
        let new = || {
            let settings = ConnectionSettings::new(SERVICE_CONNECT, SERVICE_IDLE);
            let (endpoint, tls) = (Arc::clone(&service.endpoint), service.tls.clone());
            Rc::new(Pool::new(
                endpoint,
                settings,
                tls,
                Arc::clone(counters),
                None,
            ))
        };
        (
            Arc::clone(service),
            kept.map_or_else(new, |(_, pool)| Rc::clone(pool)),
        )
    };
    snapshot.services.iter().map(pool).collect()
}

/// The Redis client; that of `old` if it is for the same server.
fn redis(
    snapshot: &Snapshot,
    old: Option<&Rc<rate_limit::Client>>,
) -> Option<Rc<rate_limit::Client>> {
    let (server, model) = snapshot
        .redis
        .as_ref()
        .zip(snapshot.config.redis.as_ref())?;
    let counters = snapshot.redis_counters.as_ref()?;
    let new = || {
        Rc::new(rate_limit::Client::new(
            Arc::clone(server),
            model.clone(),
            Arc::clone(counters),
        ))
    };
    Some(
        old.filter(|old| old.is_for(server, model))
            .map_or_else(new, Rc::clone),
    )
}

impl View {
    /// The first view of a worker, or the next one, which keeps the pools of unchanged upstreams.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        old: Option<&Self>,
        shard: Arc<Shard>,
        tokens: &Rc<RefCell<TokenCache>>,
    ) -> Self {
        let upstreams: Rc<[_]> = snapshot
            .upstreams
            .iter()
            .map(|shared| {
                let kept = old.and_then(|old| {
                    old.upstreams
                        .iter()
                        .find(|one| Arc::ptr_eq(&one.shared, shared))
                });
                kept.map_or_else(|| Rc::new(LocalUpstream::new(shared)), Rc::clone)
            })
            .collect();
        for gone in old.iter().flat_map(|old| old.upstreams.iter()) {
            if !upstreams.iter().any(|kept| Rc::ptr_eq(kept, gone)) {
                gone.retire();
            }
        }
        let services = services(&snapshot, old.map_or(&[], |old| &old.services));
        let redis = redis(&snapshot, old.and_then(|old| old.redis.as_ref()));
        let (routes, listeners) = (
            snapshot.config.routes.len(),
            snapshot.config.listeners.len(),
        );
        let providers = Arc::clone(&snapshot.providers);
        let keys = ProviderKeys::new(Arc::clone(&snapshot.keys));
        Self {
            verifiers: Rc::new(Verifiers::new(providers, keys, Rc::clone(tokens))),
            upstreams,
            services,
            redis,
            chains: (0..routes).map(|_| OnceCell::new()).collect(),
            series: (0..listeners * (routes + 1))
                .map(|_| OnceCell::new())
                .collect(),
            shard,
            sampler: Sampler::new(snapshot.config.telemetry.access_log.sample_percent),
            snapshot,
        }
    }

    /// The accepted configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// The listener with this name, if this configuration has one.
    pub(crate) fn listener_named(&self, name: &str) -> Option<ListenerId> {
        let found = self
            .config()
            .listeners
            .iter()
            .position(|one| &*one.name == name);
        found.map(|index| ListenerId(index as u32))
    }

    /// The TLS state of a listener, if it terminates TLS.
    pub(crate) fn tls(&self, listener: ListenerId) -> Option<&Arc<Tls>> {
        self.snapshot.listener(listener).tls.as_ref()
    }

    /// The chain of a route.
    pub(crate) fn chain(&self, route: RouteId) -> &BoxService {
        self.chains[route.0 as usize].get_or_init(|| chain::build(self, route))
    }

    /// The upstreams, by [`outrigger_config::model::UpstreamId`].
    pub(crate) fn upstreams(&self) -> &Rc<[Rc<LocalUpstream>]> {
        &self.upstreams
    }

    /// The configuration of a route's `extAuth`, the connections to its service, and its counters;
    /// `None` without `extAuth`.
    pub(crate) fn ext_auth(
        &self,
        route: RouteId,
    ) -> Option<(&ExtAuth, Rc<Pool>, Arc<ExtAuthCounters>)> {
        let asked = self.config().route(route).ext_auth.as_ref()?;
        let is_asked = |one: &Service| one.is_for(&asked.endpoint, asked.tls.as_ref());
        let (_, pool) = self.services.iter().find(|(one, _)| is_asked(one))?;
        let counters = self.snapshot.route(route).ext_auth.as_ref()?;
        Some((asked, Rc::clone(pool), Arc::clone(counters)))
    }

    /// The limits of a route in their order, of those in one store: those that are counted before
    /// authentication, or all others.
    pub(crate) fn rate_limits(
        &self,
        route: RouteId,
        after_auth: bool,
        store: Store,
    ) -> Vec<Arc<Limit>> {
        let ids = &self.config().route(route).rate_limits;
        let limits = ids
            .iter()
            .map(|id| &self.snapshot.rate_limits[id.0 as usize]);
        let is_one =
            |model: &RateLimit| model.key.needs_identity() == after_auth && model.store == store;
        limits
            .filter(|limit| is_one(limit.model()))
            .cloned()
            .collect()
    }

    /// The counters for copies of a route's requests, if it has a mirror.
    pub(crate) fn mirror(&self, route: RouteId) -> Option<&Arc<MirrorCounters>> {
        self.snapshot.route(route).mirror.as_ref()
    }

    /// The concurrency gate of a route.
    pub(crate) fn gate(&self, route: RouteId) -> Option<&Arc<Gate>> {
        self.snapshot.route(route).gate.as_ref()
    }

    /// The Redis client, if Redis is configured.
    pub(crate) fn redis(&self) -> Option<&Rc<rate_limit::Client>> {
        self.redis.as_ref()
    }

    /// Fields that clients may not send in trailers, on inbound listeners.
    pub(crate) fn identity_trailers(&self, listener: ListenerId) -> Option<&Arc<ClaimHeaders>> {
        let inbound = self.config().listener(listener).direction == Direction::Inbound;
        self.snapshot.identity_trailers.as_ref().filter(|_| inbound)
    }

    /// Whether the next request is written to the access log.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampler.sample()
    }

    /// The metric series for a request of this listener, route and upstream. Names are looked up
    /// only on first use.
    pub(crate) fn series(
        &self,
        listener: ListenerId,
        route: Option<RouteId>,
        upstream: Option<UpstreamId>,
    ) -> &LocalSeries {
        let config = self.config();
        let backends = match route.map(|id| &config.route(id).action) {
            Some(Action::Forward(backends)) => &backends[..],
            _ => &[],
        };
        let column = route.map_or(config.routes.len(), |route| route.0 as usize);
        let of_route = self.series[listener.0 as usize * (config.routes.len() + 1) + column]
            .get_or_init(|| (0..=backends.len()).map(|_| OnceCell::new()).collect());
        let place = upstream.and_then(|id| backends.iter().position(|one| one.upstream == id));
        of_route[place.unwrap_or(backends.len())].get_or_init(|| {
            let route =
                route.map_or_else(|| "".into(), |route| Arc::clone(&config.route(route).name));
            let upstream = place.map_or_else(
                || NO_UPSTREAM.into(),
                |place| Arc::clone(&config.upstream(backends[place].upstream).name),
            );
            self.shard
                .series(&config.listener(listener).name, &route, &upstream)
        })
    }
}

/// The inputs of decisions.
impl Runtime for View {
    type Keys = ProviderKeys;

    fn config(&self) -> &Config {
        self.config()
    }

    fn table(&self, listener: ListenerId) -> &RouteTable {
        &self.snapshot.listener(listener).table
    }

    /// Only on inbound listeners.
    fn claim_headers(&self, listener: ListenerId) -> Option<&ClaimHeaders> {
        let inbound = self.config().listener(listener).direction == Direction::Inbound;
        self.snapshot.claim_headers.as_deref().filter(|_| inbound)
    }

    fn is_one_certificate(&self, listener: ListenerId, one: &str, other: &str) -> bool {
        self.tls(listener)
            .is_none_or(|tls| tls.certificates.are_same(one, other))
    }

    fn verifiers(&self) -> &Rc<Verifiers<ProviderKeys>> {
        &self.verifiers
    }

    fn cors(&self, route: RouteId) -> Option<&cors::Policy> {
        self.snapshot.route(route).cors.as_ref()
    }

    fn steps(&self, route: RouteId) -> Steps {
        chain::steps(self, route)
    }

    fn authorization(&self, upstream: UpstreamId) -> Option<&HeaderValue> {
        self.upstreams[upstream.0 as usize].authorization.as_ref()
    }
}
