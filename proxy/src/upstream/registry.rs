//! What outlives a reload: the shared state of each upstream, by name, as long as its model value is equal.

use std::{collections::HashMap, sync::Arc};

use outrigger_config::model::{Config, Upstream as Model};

use super::{balance::Balancer, endpoint::Endpoint};

/// One upstream at run time, shared by all workers.
pub(crate) struct Upstream {
    /// As accepted.
    pub model: Model,
    /// In the order of the file.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Chooses among them.
    pub balancer: Balancer,
}

impl Upstream {
    fn new(model: &Model) -> Self {
        let endpoints = model.endpoints.iter().map(|spec| Arc::new(Endpoint::new(spec.clone()))).collect();
        let balancer = Balancer::new(model.load_balancer, model.endpoints.iter().map(|spec| spec.weight));
        Self { model: model.clone(), endpoints, balancer }
    }
}

/// The upstreams of `config`, in its order; those of `old` whose model value is equal are carried over with their
/// counters and resolved addresses.
pub(crate) fn upstreams(config: &Config, old: &[Arc<Upstream>]) -> Vec<Arc<Upstream>> {
    let old: HashMap<&str, &Arc<Upstream>> = old.iter().map(|one| (&*one.model.name, one)).collect();
    config
        .upstreams
        .iter()
        .map(|model| match old.get(&*model.name) {
            Some(kept) if kept.model == *model => Arc::clone(kept),
            _ => Arc::new(Upstream::new(model)),
        })
        .collect()
}

/// The endpoints of `extAuth`, each once; those of `old` that are the same are carried over.
pub(crate) fn services(config: &Config, old: &[Arc<Endpoint>]) -> Vec<Arc<Endpoint>> {
    let mut services: Vec<Arc<Endpoint>> = Vec::new();
    for asked in config.routes.iter().filter_map(|route| route.ext_auth.as_ref()) {
        if services.iter().any(|one| one.spec == asked.endpoint) {
            continue;
        }
        let kept = old.iter().find(|one| one.spec == asked.endpoint).cloned();
        services.push(kept.unwrap_or_else(|| Arc::new(Endpoint::new(asked.endpoint.clone()))));
    }
    services
}
