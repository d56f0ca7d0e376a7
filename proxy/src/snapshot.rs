//! From the accepted configuration to what serves requests.
//!
//! A [`Snapshot`] is immutable and shared by all workers through one `ArcSwap`. A [`View`] is one worker's own side
//! of a snapshot: chains, pools and metric series that never leave its thread. A request takes one view when its
//! head is complete and keeps it to its last byte, so that a reload never changes a request midway.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use outrigger_config::model::{Config, Listener, ListenerId, RouteId};
use outrigger_filters::{access_log::Sampler, cors, service::BoxService};

use crate::{
    chain,
    router::RouteTable,
    telemetry::metrics::{LocalSeries, Metrics, Shard, UpstreamCounters},
    tls::server::{Tls, TlsError},
    upstream::{pool::Pool, registry, registry::Upstream},
};

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
    counters: Vec<Arc<UpstreamCounters>>,
    /// By [`RouteId`].
    cors: Vec<Option<cors::Policy>>,
}

impl Snapshot {
    /// Builds the runtime of `config`, carrying over what `old` has and `config` did not change.
    ///
    /// # Errors
    /// The TLS of a listener does not work together.
    pub(crate) fn build(
        config: Arc<Config>,
        old: Option<&Self>,
        metrics: &Metrics,
    ) -> Result<Self, Unusable> {
        let listeners = 0..config.listeners.len() as u32;
        let tables = listeners.map(|index| RouteTable::new(&config, ListenerId(index))).collect();
        let tls = tls(&config, old)?;
        let upstreams = registry::upstreams(&config, old.map_or(&[], |old| &old.upstreams));
        let counters = upstreams.iter().map(|one| metrics.upstream(&one.model.name)).collect();
        let cors = config.routes.iter().map(|route| route.cors.as_ref().map(cors::Policy::new)).collect();
        Ok(Self { config, tables, tls, upstreams, counters, cors })
    }

    /// The TLS of a listener, by its name.
    fn tls_named(&self, name: &str) -> Option<&Arc<Tls>> {
        let at = self.config.listeners.iter().position(|one| &*one.name == name)?;
        self.tls[at].as_ref()
    }
}

/// The TLS of a listener that does not work together.
pub(crate) struct Unusable {
    /// The listener.
    pub listener: Arc<str>,
    /// Why.
    pub error: TlsError,
}

fn tls(config: &Config, old: Option<&Snapshot>) -> Result<Vec<Option<Arc<Tls>>>, Unusable> {
    let build = |listener: &Listener| {
        let old = old.and_then(|old| old.tls_named(&listener.name));
        let built = listener.tls.as_ref().map(|tls| Tls::build(tls, old)).transpose();
        built.map_err(|error| Unusable { listener: Arc::clone(&listener.name), error })
    };
    config.listeners.iter().map(build).collect()
}

/// One worker's side of a snapshot.
pub(crate) struct View {
    /// The shared side.
    pub snapshot: Arc<Snapshot>,
    upstreams: Rc<[Rc<LocalUpstream>]>,
    /// By [`RouteId`]; built when a route is first used, so that a reload of many routes costs a worker nothing.
    chains: Vec<OnceCell<BoxService>>,
    /// By listener and route; one more per listener for requests without route.
    series: Vec<OnceCell<Rc<LocalSeries>>>,
    shard: Arc<Shard>,
    sampler: Sampler,
}

/// One upstream with this worker's connections to it.
pub(crate) struct LocalUpstream {
    /// The shared side.
    pub shared: Arc<Upstream>,
    /// Which one it is in the snapshot.
    pub counters: Arc<UpstreamCounters>,
    /// By endpoint.
    pub pools: Vec<Rc<Pool>>,
}

impl LocalUpstream {
    fn new(shared: &Arc<Upstream>, counters: &Arc<UpstreamCounters>) -> Self {
        let settings = &shared.model.connections;
        let pool =
            |endpoint| Rc::new(Pool::new(Arc::clone(endpoint), settings.clone(), Arc::clone(counters)));
        let pools = shared.endpoints.iter().map(pool).collect();
        Self { shared: Arc::clone(shared), counters: Arc::clone(counters), pools }
    }
}

impl View {
    /// The first view of a worker, or the next one: pools of upstreams that did not change are kept.
    pub(crate) fn new(snapshot: Arc<Snapshot>, old: Option<&Self>, shard: Arc<Shard>) -> Self {
        let upstreams: Rc<[_]> = snapshot
            .upstreams
            .iter()
            .zip(&snapshot.counters)
            .map(|(shared, counters)| {
                let kept =
                    old.and_then(|old| old.upstreams.iter().find(|one| Arc::ptr_eq(&one.shared, shared)));
                kept.map_or_else(|| Rc::new(LocalUpstream::new(shared, counters)), Rc::clone)
            })
            .collect();
        for gone in old.iter().flat_map(|old| old.upstreams.iter()) {
            if !upstreams.iter().any(|kept| Rc::ptr_eq(kept, gone)) {
                gone.pools.iter().for_each(|pool| pool.retire());
            }
        }
        let (routes, listeners) = (snapshot.config.routes.len(), snapshot.config.listeners.len());
        Self {
            upstreams,
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
        self.chains[route.0 as usize]
            .get_or_init(|| chain::build(self.config(), self.config().route(route), &self.upstreams))
    }

    /// Who may read the answers of a route.
    pub(crate) fn cors(&self, route: RouteId) -> Option<&cors::Policy> {
        self.snapshot.cors[route.0 as usize].as_ref()
    }

    /// Whether the next request stands in the access log.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampler.sample()
    }

    /// The series in which a request of this listener and route is counted.
    pub(crate) fn series(&self, listener: ListenerId, route: Option<RouteId>) -> &LocalSeries {
        let config = self.config();
        let column = route.map_or(config.routes.len(), |route| route.0 as usize);
        self.series[listener.0 as usize * (config.routes.len() + 1) + column].get_or_init(|| {
            let route = route.map_or_else(|| "".into(), |route| Arc::clone(&config.route(route).name));
            Rc::new(self.shard.series(&config.listener(listener).name, &route))
        })
    }
}
