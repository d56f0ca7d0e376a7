//! Queries DNS servers with the system's settings, which are read again whenever they change.

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
    failure::Failure,
    families::{self, CachedAddresses, Resolution, ttl},
    hosts::Hosts,
    records::{self, Service},
    resolv_conf::ResolvConf,
};

/// The system's files, and the port of DNS servers.
#[derive(Debug, Clone)]
pub(super) struct SystemFiles {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) port: u16,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
        }
    }
}

/// Services, and how long they are valid.
pub(super) struct Services {
    /// At least one.
    pub(super) services: Vec<Service>,
    pub(super) ttl: Duration,
}

/// Looks up names. Its resolver is created with the first lookup, since most sidecars need none.
#[derive(Default)]
pub struct Resolver {
    files: SystemFiles,
    cache: Mutex<Option<CachedResolver>>,
}

struct CachedResolver {
    /// Contents of the files.
    settings: [Vec<u8>; 2],
    current: Arc<Current>,
}

/// The parsed settings of those files.
struct Current {
    resolver: TokioResolver,
    hosts: Hosts,
    /// Domains that are appended to a name with fewer dots than `ndots`.
    search: Vec<Name>,
    ndots: usize,
}

impl Current {
    /// The fully qualified names to query for `name`, in this order (resolv.conf(5)).
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
    /// With the files of a test.
    #[cfg(test)]
    pub(super) fn at(files: SystemFiles) -> Self {
        Self {
            files,
            cache: Mutex::default(),
        }
    }

    /// The resolver for the current settings. Reads two small files: control thread only.
    fn current(&self) -> Result<Arc<Current>, Failure> {
        let settings = [read(&self.files.resolv_conf), read(&self.files.hosts)];
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = cache.as_ref().filter(|cache| cache.settings == settings) {
            return Ok(Arc::clone(&cache.current));
        }
        let conf = ResolvConf::parse(&String::from_utf8_lossy(&settings[0]));
        tracing::debug!(?conf, "DNS servers");
        let current = Arc::new(Current {
            resolver: build(&conf, self.files.port)?,
            hosts: Hosts::parse(&String::from_utf8_lossy(&settings[1])),
            search: conf
                .search
                .iter()
                .filter_map(|domain| rooted(domain))
                .collect(),
            ndots: conf.ndots,
        });
        *cache = Some(CachedResolver {
            settings,
            current: Arc::clone(&current),
        });
        Ok(current)
    }

    /// Queries the addresses of a name and takes them over: those of the hosts file, otherwise
    /// those of the first search domain that has the name. While the domain that last had the name
    /// fails, no later domain replaces it.
    pub(super) async fn addresses(
        &self,
        name: &str,
        cached: &mut CachedAddresses,
    ) -> Result<Resolution, Failure> {
        let current = self.current()?;
        if let Some(addresses) = current.hosts.get(name) {
            cached.replace(addresses);
            // The file is read again soon, since that is cheap.
            return Ok(Resolution {
                ttl: super::SHORTEST * 5,
                missing: None,
                late: None,
            });
        }
        let mut failure = Failure::NotFound;
        for candidate in current.candidates(name)? {
            let queries = families::ask(&current.resolver, &candidate).await;
            match cached.take(&candidate, queries) {
                Ok(found) => return Ok(found),
                Err(Failure::NotFound) => {}
                Err(other) if cached.is_of(&candidate) => return Err(other),
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    /// The socket addresses of a URL's host, which may be an IP address, with this port.
    ///
    /// # Errors
    /// The name has no address, or its lookup failed.
    pub async fn sockets(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let mut cached = CachedAddresses::default();
        self.addresses(host, &mut cached)
            .await
            .map_err(io::Error::other)?;
        Ok(cached
            .addresses()
            .into_iter()
            .map(|address| (address, port).into())
            .collect())
    }

    /// The services of a name that have the best priority. `last` is the name, with its search
    /// domain, that last had services: while that one fails, no later domain replaces it.
    pub(super) async fn services(
        &self,
        name: &str,
        last: &mut Option<Name>,
    ) -> Result<Services, Failure> {
        let current = self.current()?;
        let mut failure = Failure::NotFound;
        for candidate in current.candidates(name)? {
            let response = current
                .resolver
                .lookup(candidate.clone(), RecordType::SRV)
                .await;
            match response.map_err(Failure::from) {
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
    match records::best(records.iter().filter_map(service).collect()) {
        none if none.is_empty() => Err(Failure::NotFound),
        services => Ok(Services {
            services,
            ttl: ttl(records),
        }),
    }
}

/// A domain of the search list, fully qualified.
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
    options.use_hosts_file = ResolveHosts::Never; // the hosts file is read above
    options.cache_size = 0; // a name is only queried when its last response has expired
    Ok(builder.build()?)
}
