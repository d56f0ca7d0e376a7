//! Resolves host names in endpoints with the system's resolver, on the control thread.
//!
//! A name is asked for when its upstream appears and every 30 s after that. The last good answer is kept while
//! the resolver fails; a name that never resolved leaves its endpoint without address (503 `UH`), which is no
//! load error: the name may appear later.

use std::{sync::Arc, time::Duration};

use outrigger_config::model::EndpointAddress;
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;

/// How often names are asked for again; the system's resolver tells no TTL.
pub(crate) const REFRESH: Duration = Duration::from_secs(30);

/// How soon a name that has never resolved is asked for again.
const RETRY_UNRESOLVED: Duration = Duration::from_secs(2);

/// How long the system's resolver may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps the addresses of `endpoints` fresh until it is dropped.
pub(crate) async fn keep_resolved(endpoints: Vec<Arc<Endpoint>>) {
    if !endpoints.iter().any(|endpoint| endpoint.needs_dns()) {
        return;
    }
    loop {
        for endpoint in &endpoints {
            resolve(endpoint).await;
        }
        let all_known = endpoints.iter().all(|endpoint| endpoint.has_address());
        sleep(if all_known { REFRESH } else { RETRY_UNRESOLVED }).await;
    }
}

/// Asks once for every name that has no address yet, within `limit`: called before a configuration is published,
/// so that the first requests find addresses.
pub(crate) async fn resolve_new(endpoints: &[Arc<Endpoint>], limit: Duration) {
    let missing = endpoints.iter().filter(|one| !one.has_address());
    let lookups: Vec<_> =
        missing.cloned().map(|one| tokio::spawn(async move { resolve(&one).await })).collect();
    let _ = timeout(limit, async {
        for lookup in lookups {
            let _ = lookup.await;
        }
    })
    .await;
}

async fn resolve(endpoint: &Endpoint) {
    let EndpointAddress::Host { name, port } = &endpoint.spec.address else { return };
    match timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((&**name, *port))).await {
        Ok(Ok(addresses)) => {
            if endpoint.resolved(addresses.collect()) {
                tracing::info!(endpoint = %endpoint.label, "host name resolved");
            }
        }
        Ok(Err(error)) => tracing::warn!(endpoint = %endpoint.label, %error, "host name does not resolve"),
        Err(_) => tracing::warn!(endpoint = %endpoint.label, "the resolver does not answer"),
    }
}
