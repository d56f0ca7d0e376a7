//! Selects the upstream of a request: `backendRefs` of a route, by weight or by the `hashOn` of the
//! request.

use outrigger_config::model::{Config, Direction, HashOn, Route, UpstreamId, WeightedBackend};
use outrigger_filters::service::Request;

use crate::hash_key;

/// The upstreams for the requests of one route.
#[derive(Debug)]
pub struct Backends {
    /// Running sums of the weights, and the upstream of each.
    sums: Vec<(u32, UpstreamId)>,
    /// What the hash is computed from; without it the choice is random.
    hash_on: Option<HashOn>,
    /// Whether Host becomes that of the endpoint: on outbound routes, unless the route sets one.
    pub endpoint_host: bool,
}

impl Backends {
    /// The backends of a route; at least one has a weight.
    pub fn new(config: &Config, route: &Route, backends: &[WeightedBackend]) -> Self {
        let sums: Vec<_> = backends
            .iter()
            .filter(|one| one.weight > 0)
            .scan(0, |sum, one| {
                *sum += one.weight;
                Some((*sum, one.upstream))
            })
            .collect();
        let direction = route
            .listeners
            .first()
            .map_or(Direction::Inbound, |id| config.listener(*id).direction);
        let endpoint_host =
            direction == Direction::Outbound && route.url_rewrite.hostname.is_none();
        let hash_on = route.hash_on.clone().filter(|_| sums.len() > 1);
        Self {
            sums,
            hash_on,
            endpoint_host,
        }
    }

    /// The upstream of a request. `draw` returns a number below its argument; it is not called if
    /// there is one upstream, or a hash.
    pub fn choose(&self, request: &Request, draw: impl FnOnce(u32) -> u32) -> UpstreamId {
        let (total, last) = self.sums[self.sums.len() - 1];
        if self.sums.len() == 1 {
            return last;
        }
        let hash = self.hash_on.as_ref().and_then(|on| {
            let client = request.context.client_address.get();
            hash_key::of_request(on, &request.head.headers, client)
        });
        let point = match hash {
            // All bits of the hash are equally good, so the upper half is enough.
            Some(hash) => (((hash >> 32) * u64::from(total)) >> 32) as u32,
            None => draw(total),
        };
        let index = self.sums.partition_point(|(sum, _)| *sum <= point);
        self.sums[index].1
    }
}
