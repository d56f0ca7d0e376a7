//! From the accepted configuration to what serves requests.
//!
//! A [`Snapshot`] is immutable and shared by all workers through one `ArcSwap`. A [`View`] is one worker's own side
//! of a snapshot: chains, pools and metric series that never leave its thread. A request takes one view when its
//! head is complete and keeps it to its last byte, so that a reload never changes a request midway.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use outrigger_config::model::{
    Action, Config, ConnectionSettings, Direction, ExtAuth, Listener, ListenerId, RateLimit, Route, RouteId,
    Store, UpstreamId,
};
use outrigger_filters::{
    access_log::Sampler,
    claim_headers::ClaimHeaders,
    concurrency::Gate,
    cors, ext_auth,
    jwt::{Providers, TokenCache},
    rate_limit::Limit,
    service::BoxService,
};

use crate::{
    auth::Verifiers,
    chain,
    jwks::{cell::KeyCell, keeper},
    rate_limit,
    router::RouteTable,
    telemetry::metrics::{
        ExtAuthCounters, LocalSeries, Metrics, MirrorCounters, NO_UPSTREAM, RedisCounters, Shard,
        UpstreamCounters,
    },
    tls::{
        client::TrustError,
        notes::Notes,
        server::{Tls, TlsError},
    },
    upstream::{
        dns,
        endpoint::Endpoint,
        local::LocalUpstream,
        pool::Pool,
        registry::{self, Untrusting, Upstream},
        service::{self, Service},
    },
};

/// How long a connect to what `extAuth` asks may take; its `timeout` is mostly shorter.
const SERVICE_CONNECT: Duration = Duration::from_secs(1);

/// How long an unused connection to it is kept.
const SERVICE_IDLE: Duration = Duration::from_secs(30);

/// Where the current snapshot is found.
pub(crate) type SnapshotCell = ArcSwap<Snapshot>;

/// One published configuration.
pub(crate) struct Snapshot {
    /// What was accepted.
    pub config: Arc<Config>,
    /// By [`ListenerId`].
    tables: Vec<RouteTable>,
    /// By [`ListenerId`]; `None` where TLS is not spoken.
    tls: Vec<Option<Arc<Tls>>>,
    /// By [`outrigger_config::model::UpstreamId`].
    pub upstreams: Vec<Arc<Upstream>>,
    /// What `extAuth` asks.
    services: Vec<Arc<Service>>,
    service_counters: Option<Arc<UpstreamCounters>>,
    /// By [`RouteId`].
    ext_auth: Vec<Option<Arc<ExtAuthCounters>>>,
    /// What keeps the limits of all pods.
    redis: Option<Arc<Service>>,
    redis_counters: Option<Arc<RedisCounters>>,
    /// By [`outrigger_config::model::ProviderId`].
    pub keys: Arc<[Arc<KeyCell>]>,
    providers: Arc<Providers>,
    claim_headers: Option<Arc<ClaimHeaders>>,
    /// Those, and what `extAuth` hands to the app.
    identity_trailers: Option<Arc<ClaimHeaders>>,
    /// By [`RouteId`].
    cors: Vec<Option<cors::Policy>>,
    /// By [`outrigger_config::model::RateLimitId`].
    rate_limits: Vec<Arc<Limit>>,
    /// By [`RouteId`].
    mirrors: Vec<Option<Arc<MirrorCounters>>>,
    /// By [`RouteId`].
    gates: Vec<Option<Arc<Gate>>>,
}

impl Snapshot {
    /// Builds the runtime of `config`, carrying over what `old` has and `config` did not change.
    ///
    /// # Errors
    /// The TLS of a listener does not work together, or that of an upstream cannot be spoken.
    pub(crate) fn build(
        config: Arc<Config>,
        old: Option<&Self>,
        metrics: &Metrics,
        notes: &Notes,
    ) -> Result<Self, Unusable> {
        let listeners = 0..config.listeners.len() as u32;
        let tables = listeners.map(|index| RouteTable::new(&config, ListenerId(index))).collect();
        let tls = tls(&config, old)?;
        let upstreams = registry::upstreams(&config, old.map_or(&[], |old| &old.upstreams), metrics, notes)?;
        let cors = config.routes.iter().map(|route| route.cors.as_ref().map(cors::Policy::new)).collect();
        let keys = keeper::cells(&config, old.map_or(&[], |old| &*old.keys), metrics).into();
        let providers = Arc::new(Providers::new(&config.jwt_providers));
        let claim_headers = ClaimHeaders::new(&config.jwt_providers);
        let identity_trailers = claim_headers.clone().and(ext_auth::owned(&config));
        let shared = |names: ClaimHeaders| (!names.is_empty()).then(|| Arc::new(names));
        let (claim_headers, identity_trailers) = (shared(claim_headers), shared(identity_trailers));
        let services = service::asked(&config, old.map_or(&[], |old| &old.services), notes)?;
        let ext_auth =
            config.routes.iter().map(|route| route.ext_auth.as_ref().map(|_| metrics.ext_auth(&route.name)));
        let rate_limits = rate_limits(&config, old.map_or(&[], |old| &old.rate_limits));
        let gates = gates(&config, old);
        let mirrored = |route: &Route| route.request_mirror.as_ref().map(|_| metrics.mirror(&route.name));
        let mirrors = config.routes.iter().map(mirrored).collect();
        let redis = service::redis(&config, old.and_then(|old| old.redis.as_ref()), notes)?;
        Ok(Self {
            redis_counters: redis.as_ref().map(|_| metrics.redis()),
            redis,
            rate_limits,
            gates,
            mirrors,
            ext_auth: ext_auth.collect(),
            service_counters: (!services.is_empty()).then(|| metrics.upstream(&service::EXT_AUTH.into())),
            config,
            tables,
            tls,
            upstreams,
            services,
            keys,
            providers,
            claim_headers,
            identity_trailers,
            cors,
        })
    }

    /// The gates that requests pass, by the names of their routes.
    pub(crate) fn gates(&self) -> Vec<(Arc<str>, Arc<Gate>)> {
        let gates = self.config.routes.iter().zip(&self.gates);
        gates.filter_map(|(route, gate)| Some((Arc::clone(&route.name), gate.clone()?))).collect()
    }

    /// Every name that somebody needs.
    pub(crate) fn names(&self) -> Vec<dns::Name> {
        let named = |endpoint: &Arc<Endpoint>, counters: Option<&Arc<UpstreamCounters>>| {
            let user = dns::User::Endpoint(Arc::clone(endpoint));
            endpoint.needs_dns().then(|| dns::Name { user, counters: counters.cloned() })
        };
        let mut names = Vec::new();
        for upstream in &self.upstreams {
            let counters = Some(&upstream.counters);
            if upstream.model.dns.is_some() {
                let user = dns::User::Upstream(Arc::clone(upstream));
                names.push(dns::Name { user, counters: counters.cloned() });
            } else {
                names.extend(upstream.set().endpoints.iter().filter_map(|one| named(one, counters)));
            }
        }
        let counters = self.service_counters.as_ref();
        names.extend(self.services.iter().filter_map(|one| named(&one.endpoint, counters)));
        // What it is asked is counted by itself.
        names.extend(self.redis.iter().filter_map(|one| named(&one.endpoint, None)));
        names
    }

    /// The TLS of a listener, by its name.
    fn tls_named(&self, name: &str) -> Option<&Arc<Tls>> {
        let at = self.config.listeners.iter().position(|one| &*one.name == name)?;
        self.tls[at].as_ref()
    }
}

/// TLS that cannot be spoken.
pub(crate) enum Unusable {
    /// What was accepted of a listener's TLS does not work together.
    Listener(Arc<str>, TlsError),
    /// Nobody can be believed in the name of an upstream, or nothing shown.
    Upstream(Arc<str>, TrustError),
}

impl From<Untrusting> for Unusable {
    fn from(one: Untrusting) -> Self {
        Self::Upstream(one.upstream, one.error)
    }
}

/// The limits of `config`; those of `old` that are the same go on with their buckets.
fn rate_limits(config: &Config, old: &[Arc<Limit>]) -> Vec<Arc<Limit>> {
    let limit = |model: &RateLimit| {
        let kept = old.iter().find(|limit| limit.model() == model);
        kept.map_or_else(|| Arc::new(Limit::new(model)), Arc::clone)
    };
    config.rate_limits.iter().map(limit).collect()
}

/// The gates of `config`; those of `old` go on where a route of the name has the same.
fn gates(config: &Config, old: Option<&Snapshot>) -> Vec<Option<Arc<Gate>>> {
    let known: HashMap<&str, &Arc<Gate>> = old
        .iter()
        .flat_map(|old| old.config.routes.iter().zip(&old.gates))
        .filter_map(|(route, gate)| Some((&*route.name, gate.as_ref()?)))
        .collect();
    let gate = |route: &Route| {
        let model = route.concurrency.as_ref()?;
        let kept = known.get(&*route.name).copied().filter(|gate| gate.model() == model).cloned();
        Some(kept.unwrap_or_else(|| Arc::new(Gate::new(model))))
    };
    config.routes.iter().map(gate).collect()
}

fn tls(config: &Config, old: Option<&Snapshot>) -> Result<Vec<Option<Arc<Tls>>>, Unusable> {
    let build = |listener: &Listener| {
        let old = old.and_then(|old| old.tls_named(&listener.name));
        let built = listener.tls.as_ref().map(|tls| Tls::build(tls, old)).transpose();
        built.map_err(|error| Unusable::Listener(Arc::clone(&listener.name), error))
    };
    config.listeners.iter().map(build).collect()
}

/// One worker's side of a snapshot.
pub(crate) struct View {
    /// The shared side.
    pub snapshot: Arc<Snapshot>,
    upstreams: Rc<[Rc<LocalUpstream>]>,
    /// Connections to what `extAuth` asks.
    services: Vec<(Arc<Service>, Rc<Pool>)>,
    /// The connection to redis.
    redis: Option<Rc<rate_limit::Client>>,
    /// By [`RouteId`]; built when a route is first used, so that a reload of many routes costs a worker nothing.
    chains: Vec<OnceCell<BoxService>>,
    /// By listener and route; one more per listener for requests without route.
    series: Vec<OnceCell<SeriesOfRoute>>,
    shard: Arc<Shard>,
    sampler: Sampler,
    verifiers: Rc<Verifiers>,
}

/// By the backends of a route, in their order; one more for requests that no upstream was chosen for.
type SeriesOfRoute = Box<[OnceCell<LocalSeries>]>;

/// One pool for each service; connections to the same ones are kept, those to others end.
fn services(snapshot: &Snapshot, old: &[(Arc<Service>, Rc<Pool>)]) -> Vec<(Arc<Service>, Rc<Pool>)> {
    let is_kept = |known: &Arc<Service>| snapshot.services.iter().any(|one| Arc::ptr_eq(one, known));
    old.iter().filter(|(known, _)| !is_kept(known)).for_each(|(_, gone)| gone.retire());
    let Some(counters) = &snapshot.service_counters else { return Vec::new() };
    let pool = |service: &Arc<Service>| {
        let kept = old.iter().find(|(known, _)| Arc::ptr_eq(known, service));
        let new = || {
            let settings = ConnectionSettings::new(SERVICE_CONNECT, SERVICE_IDLE);
            let (endpoint, tls) = (Arc::clone(&service.endpoint), service.tls.clone());
            Rc::new(Pool::new(endpoint, settings, tls, Arc::clone(counters), None))
        };
        (Arc::clone(service), kept.map_or_else(new, |(_, pool)| Rc::clone(pool)))
    };
    snapshot.services.iter().map(pool).collect()
}

/// The client of redis, that of `old` where it is for the same server.
fn redis(snapshot: &Snapshot, old: Option<&Rc<rate_limit::Client>>) -> Option<Rc<rate_limit::Client>> {
    let (server, model) = snapshot.redis.as_ref().zip(snapshot.config.redis.as_ref())?;
    let counters = snapshot.redis_counters.as_ref()?;
    let new = || Rc::new(rate_limit::Client::new(Arc::clone(server), model.clone(), Arc::clone(counters)));
    Some(old.filter(|old| old.is_for(server, model)).map_or_else(new, Rc::clone))
}

impl View {
    /// The first view of a worker, or the next one: pools of upstreams that did not change are kept.
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
                let kept =
                    old.and_then(|old| old.upstreams.iter().find(|one| Arc::ptr_eq(&one.shared, shared)));
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
        let (routes, listeners) = (snapshot.config.routes.len(), snapshot.config.listeners.len());
        let (providers, keys) = (Arc::clone(&snapshot.providers), Arc::clone(&snapshot.keys));
        Self {
            verifiers: Rc::new(Verifiers::new(providers, keys, Rc::clone(tokens))),
            upstreams,
            services,
            redis,
            chains: (0..routes).map(|_| OnceCell::new()).collect(),
            series: (0..listeners * (routes + 1)).map(|_| OnceCell::new()).collect(),
            shard,
            sampler: Sampler::new(snapshot.config.telemetry.access_log.sample_percent),
            snapshot,
        }
    }

    /// The accepted configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// The listener of this name, when this configuration has one.
    pub(crate) fn listener_named(&self, name: &str) -> Option<ListenerId> {
        let found = self.config().listeners.iter().position(|one| &*one.name == name);
        found.map(|index| ListenerId(index as u32))
    }

    /// The routes of a listener.
    pub(crate) fn table(&self, listener: ListenerId) -> &RouteTable {
        &self.snapshot.tables[listener.0 as usize]
    }

    /// The TLS of a listener, where it is spoken.
    pub(crate) fn tls(&self, listener: ListenerId) -> Option<&Arc<Tls>> {
        self.snapshot.tls[listener.0 as usize].as_ref()
    }

    /// The chain of a route.
    pub(crate) fn chain(&self, route: RouteId) -> &BoxService {
        self.chains[route.0 as usize].get_or_init(|| chain::build(self, route))
    }

    /// The upstreams, by [`outrigger_config::model::UpstreamId`].
    pub(crate) fn upstreams(&self) -> &Rc<[Rc<LocalUpstream>]> {
        &self.upstreams
    }

    /// Connections to what a route's `extAuth` asks, and its counters; none where it has none.
    pub(crate) fn ext_auth(&self, route: RouteId) -> Option<(&ExtAuth, Rc<Pool>, Arc<ExtAuthCounters>)> {
        let asked = self.config().route(route).ext_auth.as_ref()?;
        let is_asked = |one: &Service| one.is_for(&asked.endpoint, asked.tls.as_ref());
        let (_, pool) = self.services.iter().find(|(one, _)| is_asked(one))?;
        let counters = self.snapshot.ext_auth[route.0 as usize].as_ref()?;
        Some((asked, Rc::clone(pool), Arc::clone(counters)))
    }

    /// The limits of a route in their order, of those that one store keeps: those that are known before it is clear who
    /// asks, or all others.
    pub(crate) fn rate_limits(&self, route: RouteId, after_auth: bool, store: Store) -> Vec<Arc<Limit>> {
        let ids = &self.config().route(route).rate_limits;
        let limits = ids.iter().map(|id| &self.snapshot.rate_limits[id.0 as usize]);
        let is_one = |model: &RateLimit| model.key.needs_identity() == after_auth && model.store == store;
        limits.filter(|limit| is_one(limit.model())).cloned().collect()
    }

    /// What counts the copies of a route's requests, where there are any.
    pub(crate) fn mirror(&self, route: RouteId) -> Option<&Arc<MirrorCounters>> {
        self.snapshot.mirrors[route.0 as usize].as_ref()
    }

    /// The gate that requests of a route pass.
    pub(crate) fn gate(&self, route: RouteId) -> Option<&Arc<Gate>> {
        self.snapshot.gates[route.0 as usize].as_ref()
    }

    /// What asks redis, where there is one.
    pub(crate) fn redis(&self) -> Option<&Rc<rate_limit::Client>> {
        self.redis.as_ref()
    }

    /// What tokens are verified with.
    pub(crate) fn verifiers(&self) -> &Rc<Verifiers> {
        &self.verifiers
    }

    /// Fields that carry claims and that no client may send, on listeners that clients come to.
    pub(crate) fn claim_headers(&self, listener: ListenerId) -> Option<&Arc<ClaimHeaders>> {
        let inbound = self.config().listener(listener).direction == Direction::Inbound;
        self.snapshot.claim_headers.as_ref().filter(|_| inbound)
    }

    /// Fields that no client may send behind a body, on listeners that clients come to.
    pub(crate) fn identity_trailers(&self, listener: ListenerId) -> Option<&Arc<ClaimHeaders>> {
        let inbound = self.config().listener(listener).direction == Direction::Inbound;
        self.snapshot.identity_trailers.as_ref().filter(|_| inbound)
    }

    /// Who may read the answers of a route.
    pub(crate) fn cors(&self, route: RouteId) -> Option<&cors::Policy> {
        self.snapshot.cors[route.0 as usize].as_ref()
    }

    /// Whether the next request stands in the access log.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampler.sample()
    }

    /// The series in which a request of this listener, route and upstream is counted. Looks up names only for the first
    /// one of its kind.
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
            let route = route.map_or_else(|| "".into(), |route| Arc::clone(&config.route(route).name));
            let upstream = place.map_or_else(
                || NO_UPSTREAM.into(),
                |place| Arc::clone(&config.upstream(backends[place].upstream).name),
            );
            self.shard.series(&config.listener(listener).name, &route, &upstream)
        })
    }
}
