//! What outlives a reload: the shared state of each upstream, by name, as long as its model value is equal.

use std::{collections::HashMap, sync::Arc};

use outrigger_config::model::{Config, EndpointAddress, Upstream as Model};

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

    /// Whether any endpoint is a host name.
    pub(crate) fn needs_dns(&self) -> bool {
        self.model.endpoints.iter().any(|spec| matches!(spec.address, EndpointAddress::Host { .. }))
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
