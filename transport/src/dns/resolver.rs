//! Asks DNS servers, by the system's own settings, which are read again whenever they change.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{
        ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
    },
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData, Record, RecordType},
};

use super::{
    answer::{self, Service},
    failure::Failure,
    families::{self, Found, Known, ttl},
    hosts::Hosts,
    resolv_conf::ResolvConf,
};

/// Files of the system, and where servers listen.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) port: u16,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
        }
    }
}

/// Services, and for how long they are good.
pub(super) struct Services {
    /// At least one.
    pub(super) services: Vec<Service>,
    pub(super) ttl: Duration,
}

/// Looks names up. What it needs is made with the first one, since most sidecars have none.
#[derive(Default)]
pub struct Resolver {
    places: Places,
    made: Mutex<Option<Made>>,
}

struct Made {
    /// What the files held.
    settings: [Vec<u8>; 2],
    current: Arc<Current>,
}

/// What those files say.
struct Current {
    resolver: TokioResolver,
    hosts: Hosts,
    /// Domains behind a name that has fewer dots than `ndots`.
    search: Vec<Name>,
    ndots: usize,
}

impl Current {
    /// The names that a name may stand for, in the order in which they are asked for (resolv.conf(5)).
    fn candidates(&self, name: &str) -> Result<Vec<Name>, Failure> {
        let name = Name::from_ascii(name).map_err(|error| Failure::Name(error.to_string()))?;
        if name.is_fqdn() {
            return Ok(vec![name]);
        }
        let mut plain = name.clone();
        plain.set_fqdn(true);
        let mut candidates: Vec<Name> = self
            .search
            .iter()
            .filter_map(|domain| name.clone().append_domain(domain).ok())
            .collect();
        let first = usize::from(name.num_labels()) > self.ndots || name.is_localhost();
        candidates.insert(if first { 0 } else { candidates.len() }, plain);
        Ok(candidates)
    }
}

impl Resolver {
    /// With files of a test.
    #[cfg(test)]
    pub(super) fn at(places: Places) -> Self {
        Self {
            places,
            made: Mutex::default(),
        }
    }

    /// The resolver for the settings as they are now. Reads two small files: on the control thread alone.
    fn current(&self) -> Result<Arc<Current>, Failure> {
        let settings = [read(&self.places.resolv_conf), read(&self.places.hosts)];
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.settings == settings) {
            return Ok(Arc::clone(&made.current));
        }
        let conf = ResolvConf::parse(&String::from_utf8_lossy(&settings[0]));
        tracing::debug!(?conf, "DNS servers");
        let current = Arc::new(Current {
            resolver: build(&conf, self.places.port)?,
            hosts: Hosts::parse(&String::from_utf8_lossy(&settings[1])),
            search: conf
                .search
                .iter()
                .filter_map(|domain| rooted(domain))
                .collect(),
            ndots: conf.ndots,
        });
        *made = Some(Made {
            settings,
            current: Arc::clone(&current),
        });
        Ok(current)
    }

    /// Asks for the addresses of a name and takes them over: those of the hosts file, else of the first search domain that
    /// has the name. While the domain that had it fails, no later one takes its place.
    pub(super) async fn addresses(&self, name: &str, known: &mut Known) -> Result<Found, Failure> {
        let current = self.current()?;
        if let Some(addresses) = current.hosts.get(name) {
            known.replace(addresses);
            // The file is looked at again soon, since it costs nothing.
            return Ok(Found {
                ttl: super::SHORTEST * 5,
                missing: None,
                late: None,
            });
        }
        let mut failure = Failure::NotFound;
        for candidate in current.candidates(name)? {
            let answers = families::ask(&current.resolver, &candidate).await;
            match known.take(&candidate, answers) {
                Ok(found) => return Ok(found),
                Err(Failure::NotFound) => {}
                Err(other) if known.is_of(&candidate) => return Err(other),
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    /// Addresses of a host in a URL, which may be one itself, with this port.
    ///
    /// # Errors
    /// The name has none, or nobody says so.
    pub async fn sockets(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let mut known = Known::default();
        self.addresses(host, &mut known)
            .await
            .map_err(io::Error::other)?;
        Ok(known
            .addresses()
            .into_iter()
            .map(|address| (address, port).into())
            .collect())
    }

    /// The services behind a name that have the best priority. `last` is the name, with its search domain, that had some:
    /// while that one fails, no later one takes its place.
    pub(super) async fn services(
        &self,
        name: &str,
        last: &mut Option<Name>,
    ) -> Result<Services, Failure> {
        let current = self.current()?;
        let mut failure = Failure::NotFound;
        for candidate in current.candidates(name)? {
            let answer = current
                .resolver
                .lookup(candidate.clone(), RecordType::SRV)
                .await;
            match answer.map_err(Failure::from) {
                Ok(found) => {
                    let services = services(found.answers())?;
                    *last = Some(candidate);
                    return Ok(services);
                }
                Err(Failure::NotFound) => {}
                Err(other) if last.as_ref() == Some(&candidate) => return Err(other),
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }
}

fn services(records: &[Record]) -> Result<Services, Failure> {
    let service = |record: &Record| match &record.data {
        RData::SRV(srv) => Some(Service {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_ascii().to_ascii_lowercase().into(),
        }),
        _ => None,
    };
    match answer::best(records.iter().filter_map(service).collect()) {
        none if none.is_empty() => Err(Failure::NotFound),
        services => Ok(Services {
            services,
            ttl: ttl(records),
        }),
    }
}

/// A domain of the search list.
fn rooted(domain: &str) -> Option<Name> {
    let mut domain = Name::from_ascii(domain).ok()?;
    domain.set_fqdn(true);
    Some(domain)
}

fn read(path: &std::path::Path) -> Vec<u8> {
    fs::read(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "cannot read a file that DNS needs");
            }
        })
        .unwrap_or_default()
}

fn build(conf: &ResolvConf, port: u16) -> Result<TokioResolver, Failure> {
    let server = |ip: &IpAddr| {
        let mut connections = vec![ConnectionConfig::tcp()];
        if !conf.use_vc {
            connections.insert(0, ConnectionConfig::udp());
        }
        connections
            .iter_mut()
            .for_each(|connection| connection.port = port);
        NameServerConfig::new(*ip, true, connections)
    };
    let servers = conf.servers.iter().map(server).collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = conf.timeout;
    options.attempts = conf.attempts;
    options.edns0 = conf.edns0;
    options.server_ordering_strategy = match conf.rotate {
        true => ServerOrderingStrategy::RoundRobin,
        false => ServerOrderingStrategy::UserProvidedOrder,
    };
    options.use_hosts_file = ResolveHosts::Never; // ours is asked first
    options.cache_size = 0; // a name is asked for when its answer is over
    Ok(builder.build()?)
}
