//! Servers that the proxy itself sends requests to and that are not upstreams: those of `extAuth`,
//! and Redis.

use std::sync::Arc;

use outrigger_config::model::{ClientTls, Config, EndpointSpec};
use outrigger_transport::tls::client::{Connector, Observer, SystemRoots};

use super::{endpoint::Endpoint, registry::UnusableTls};
use crate::tls::report::TlsEvents;

/// The name of `extAuth` servers in metrics and logs. No upstream can have it, since it is not a
/// DNS label.
pub(crate) const EXT_AUTH: &str = "extAuth";

/// The name of Redis in logs. An upstream may have it too, but nothing is counted under this one.
const REDIS: &str = "redis";

/// One server.
pub(crate) struct Service {
    pub endpoint: Arc<Endpoint>,
    /// TLS settings, with TLS.
    pub tls: Option<Arc<Connector>>,
    model: Option<Arc<ClientTls>>,
}

impl Service {
    /// Whether it was built from this configuration and the same files.
    pub(crate) fn is_for(&self, spec: &EndpointSpec, tls: Option<&Arc<ClientTls>>) -> bool {
        self.endpoint.address.spec == *spec && self.model.as_ref() == tls
    }

    /// The equal one of `old`, or else a new one. Its addresses are carried over where only TLS
    /// differs.
    fn new(
        name: &'static str,
        spec: &EndpointSpec,
        tls: Option<&Arc<ClientTls>>,
        old: &[Arc<Self>],
        made: &mut Making,
    ) -> Result<Arc<Self>, UnusableTls> {
        if let Some(same) = old.iter().find(|one| one.is_for(spec, tls)) {
            return Ok(Arc::clone(same));
        }
        let known = old
            .iter()
            .find(|one| one.endpoint.address.spec == *spec)
            .map(|one| Arc::clone(&one.endpoint));
        let name: Arc<str> = name.into();
        let connector =
            |tls: &Arc<ClientTls>| Connector::build(&name, tls, &mut made.system, &made.observer);
        let connector = tls.map(connector).transpose();
        let connector = connector.map_err(|error| UnusableTls {
            upstream: Arc::clone(&name),
            error,
        })?;
        Ok(Arc::new(Self {
            endpoint: known.unwrap_or_else(|| Arc::new(Endpoint::new(spec.clone()))),
            tls: connector.map(Arc::new),
            model: tls.cloned(),
        }))
    }
}

struct Making {
    system: SystemRoots,
    observer: Arc<dyn Observer>,
}

impl Making {
    fn new(tls_events: &TlsEvents) -> Self {
        Self {
            system: SystemRoots::default(),
            observer: Arc::new(tls_events.clone()),
        }
    }
}

/// The servers of `extAuth`, each once.
///
/// # Errors
/// TLS settings of one cannot be used.
pub(crate) fn ext_auth_servers(
    config: &Config,
    old: &[Arc<Service>],
    tls_events: &TlsEvents,
) -> Result<Vec<Arc<Service>>, UnusableTls> {
    let mut making = Making::new(tls_events);
    let mut services: Vec<Arc<Service>> = Vec::new();
    for model in config
        .routes
        .iter()
        .filter_map(|route| route.ext_auth.as_ref())
    {
        let tls = model.tls.as_ref();
        if !services.iter().any(|one| one.is_for(&model.endpoint, tls)) {
            services.push(Service::new(
                EXT_AUTH,
                &model.endpoint,
                tls,
                old,
                &mut making,
            )?);
        }
    }
    Ok(services)
}

/// The Redis server of shared rate limits.
///
/// # Errors
/// Its TLS settings cannot be used.
pub(crate) fn redis(
    config: &Config,
    old: Option<&Arc<Service>>,
    tls_events: &TlsEvents,
) -> Result<Option<Arc<Service>>, UnusableTls> {
    let mut making = Making::new(tls_events);
    let old = old.map_or(&[][..], std::slice::from_ref);
    let server = |redis: &outrigger_config::model::Redis| {
        Service::new(REDIS, &redis.endpoint, redis.tls.as_ref(), old, &mut making)
    };
    config.redis.as_ref().map(server).transpose()
}
