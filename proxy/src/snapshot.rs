//! The run-time form of the accepted configuration.
//!
//! A [`Snapshot`] is immutable and shared by all workers through one `ArcSwap`; each has its own
//! [`View`](crate::view::View) of it.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use outrigger_config::model::{Config, Listener, ListenerId, RateLimit, Route, RouteId};
use outrigger_decision::router::RouteTable;
use outrigger_filters::{
    claim_headers::ClaimHeaders, concurrency::Gate, cors, ext_auth, jwt::Providers,
    rate_limit::Limit,
};
use outrigger_transport::{dns, tls::client::TrustError};

use crate::{
    jwks::{cell::KeyCell, keeper},
    telemetry::metrics::{
        ExtAuthCounters, Metrics, MirrorCounters, RedisCounters, UpstreamCounters,
    },
    tls::{
        report::TlsEvents,
        server::{Tls, TlsError},
    },
    upstream::{
        endpoint::Endpoint,
        registry::{self, UnusableTls, Upstream},
        service::{self, Service},
    },
};

/// Holds the current snapshot.
pub(crate) type SnapshotCell = ArcSwap<Snapshot>;

pub(crate) struct Snapshot {
    /// The accepted configuration.
    pub config: Arc<Config>,
    /// By [`ListenerId`].
    listeners: Vec<ListenerRuntime>,
    /// By [`RouteId`].
    routes: Vec<RouteRuntime>,
    /// By [`outrigger_config::model::UpstreamId`].
    pub upstreams: Vec<Arc<Upstream>>,
    /// The servers of `extAuth`.
    pub services: Vec<Arc<Service>>,
    /// Counters of all these servers, if there are any.
    pub service_counters: Option<Arc<UpstreamCounters>>,
    /// The Redis server of shared rate limits.
    pub redis: Option<Arc<Service>>,
    pub redis_counters: Option<Arc<RedisCounters>>,
    /// By [`outrigger_config::model::ProviderId`].
    pub keys: Arc<[Arc<KeyCell>]>,
    /// Verifies tokens.
    pub providers: Arc<Providers>,
    /// Headers that carry claims.
    pub claim_headers: Option<Arc<ClaimHeaders>>,
    /// Headers that carry claims, and those that `extAuth` adds for the app; none may arrive as a
    /// trailer.
    pub identity_trailers: Option<Arc<ClaimHeaders>>,
    /// By [`outrigger_config::model::RateLimitId`].
    pub rate_limits: Vec<Arc<Limit>>,
}

/// Run-time state of a listener.
pub(crate) struct ListenerRuntime {
    /// Its routes.
    pub table: RouteTable,
    /// `None` without TLS.
    pub tls: Option<Arc<Tls>>,
}

/// Run-time state of a route; each part is `None` where the configuration has none.
pub(crate) struct RouteRuntime {
    /// CORS policy.
    pub cors: Option<cors::Policy>,
    /// Counters of `extAuth` requests.
    pub ext_auth: Option<Arc<ExtAuthCounters>>,
    /// Counters of mirrored requests.
    pub mirror: Option<Arc<MirrorCounters>>,
    /// Concurrency limit.
    pub gate: Option<Arc<Gate>>,
}

impl Snapshot {
    /// Builds the run-time form of `config`, carrying over what `config` did not change from `old`.
    ///
    /// # Errors
    /// The TLS settings of a listener or of an upstream cannot be used.
    pub(crate) fn build(
        config: Arc<Config>,
        old: Option<&Self>,
        metrics: &Metrics,
        tls_events: &TlsEvents,
    ) -> Result<Self, Unusable> {
        let listeners = listeners(&config, old)?;
        let upstreams = registry::upstreams(
            &config,
            old.map_or(&[], |old| &old.upstreams),
            metrics,
            tls_events,
        )?;
        let keys = keeper::cells(&config, old.map_or(&[], |old| &*old.keys), metrics).into();
        let providers = Arc::new(Providers::new(&config.jwt_providers));
        let claim_headers = ClaimHeaders::new(&config.jwt_providers);
        let identity_trailers = claim_headers.clone().and(ext_auth::owned(&config));
        let shared = |names: ClaimHeaders| (!names.is_empty()).then(|| Arc::new(names));
        let (claim_headers, identity_trailers) = (shared(claim_headers), shared(identity_trailers));
        let services =
            service::ext_auth_servers(&config, old.map_or(&[], |old| &old.services), tls_events)?;
        let rate_limits = rate_limits(&config, old.map_or(&[], |old| &old.rate_limits));
        let routes = routes(&config, old, metrics);
        let redis = service::redis(&config, old.and_then(|old| old.redis.as_ref()), tls_events)?;
        Ok(Self {
            redis_counters: redis.as_ref().map(|_| metrics.redis()),
            redis,
            rate_limits,
            service_counters: (!services.is_empty())
                .then(|| metrics.upstream(&service::EXT_AUTH.into())),
            config,
            listeners,
            routes,
            upstreams,
            services,
            keys,
            providers,
            claim_headers,
            identity_trailers,
        })
    }

    /// Run-time state of a listener.
    pub(crate) fn listener(&self, id: ListenerId) -> &ListenerRuntime {
        &self.listeners[id.0 as usize]
    }

    /// Run-time state of a route.
    pub(crate) fn route(&self, id: RouteId) -> &RouteRuntime {
        &self.routes[id.0 as usize]
    }

    /// The gates (concurrency limits), by the names of their routes.
    pub(crate) fn gates(&self) -> Vec<(Arc<str>, Arc<Gate>)> {
        let routes = self.config.routes.iter().zip(&self.routes);
        routes
            .filter_map(|(model, route)| Some((Arc::clone(&model.name), route.gate.clone()?)))
            .collect()
    }

    /// All names that are looked up in DNS.
    pub(crate) fn names(&self) -> Vec<dns::Name> {
        let named = |endpoint: &Arc<Endpoint>, counters: Option<&Arc<UpstreamCounters>>| {
            let user = dns::User::Host(Arc::clone(endpoint) as _);
            endpoint.address.needs_dns().then(|| dns::Name {
                user,
                counters: counters.map(counted),
            })
        };
        let mut names = Vec::new();
        for upstream in &self.upstreams {
            let counters = Some(&upstream.counters);
            if upstream.model.dns.is_some() {
                let user = dns::User::Endpoints(Arc::clone(upstream) as _);
                names.push(dns::Name {
                    user,
                    counters: counters.map(counted),
                });
            } else {
                names.extend(
                    upstream
                        .set()
                        .endpoints
                        .iter()
                        .filter_map(|one| named(one, counters)),
                );
            }
        }
        let counters = self.service_counters.as_ref();
        names.extend(
            self.services
                .iter()
                .filter_map(|one| named(&one.endpoint, counters)),
        );
        // Lookups of these servers have their own counters.
        names.extend(
            self.redis
                .iter()
                .filter_map(|one| named(&one.endpoint, None)),
        );
        names
    }

    /// The TLS settings of a listener, by its name.
    fn tls_named(&self, name: &str) -> Option<&Arc<Tls>> {
        let at = self
            .config
            .listeners
            .iter()
            .position(|one| &*one.name == name)?;
        self.listeners[at].tls.as_ref()
    }
}

fn counted(counters: &Arc<UpstreamCounters>) -> Arc<dyn dns::Counters> {
    Arc::clone(counters) as _
}

/// TLS settings that cannot be used.
pub(crate) enum Unusable {
    /// The settings of a listener do not match.
    Listener(Arc<str>, TlsError),
    /// An upstream has no trusted root, or its client certificate cannot be used.
    Upstream(Arc<str>, TrustError),
}

impl From<UnusableTls> for Unusable {
    fn from(one: UnusableTls) -> Self {
        Self::Upstream(one.upstream, one.error)
    }
}

/// The limits of `config`. Equal limits of `old` keep their buckets.
fn rate_limits(config: &Config, old: &[Arc<Limit>]) -> Vec<Arc<Limit>> {
    let limit = |model: &RateLimit| {
        let kept = old.iter().find(|limit| limit.model() == model);
        kept.map_or_else(|| Arc::new(Limit::new(model)), Arc::clone)
    };
    config.rate_limits.iter().map(limit).collect()
}

/// The routes of `config`. A route keeps its gate of `old` when name and settings are equal.
fn routes(config: &Config, old: Option<&Snapshot>, metrics: &Metrics) -> Vec<RouteRuntime> {
    let known: HashMap<&str, &Arc<Gate>> = old
        .iter()
        .flat_map(|old| old.config.routes.iter().zip(&old.routes))
        .filter_map(|(model, route)| Some((&*model.name, route.gate.as_ref()?)))
        .collect();
    let gate = |route: &Route| {
        let model = route.concurrency.as_ref()?;
        let kept = known
            .get(&*route.name)
            .copied()
            .filter(|gate| gate.model() == model)
            .cloned();
        Some(kept.unwrap_or_else(|| Arc::new(Gate::new(model))))
    };
    let route = |route: &Route| RouteRuntime {
        cors: route.cors.as_ref().map(cors::Policy::new),
        ext_auth: route
            .ext_auth
            .as_ref()
            .map(|_| metrics.ext_auth(&route.name)),
        mirror: route
            .request_mirror
            .as_ref()
            .map(|_| metrics.mirror(&route.name)),
        gate: gate(route),
    };
    config.routes.iter().map(route).collect()
}

fn listeners(config: &Config, old: Option<&Snapshot>) -> Result<Vec<ListenerRuntime>, Unusable> {
    let tls = |listener: &Listener| {
        let old = old.and_then(|old| old.tls_named(&listener.name));
        let built = listener
            .tls
            .as_ref()
            .map(|tls| Tls::build(tls, old))
            .transpose();
        built.map_err(|error| Unusable::Listener(Arc::clone(&listener.name), error))
    };
    let runtime = |(index, model)| {
        Ok(ListenerRuntime {
            table: RouteTable::new(config, ListenerId(index)),
            tls: tls(model)?,
        })
    };
    (0..).zip(&config.listeners).map(runtime).collect()
}
