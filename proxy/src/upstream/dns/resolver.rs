//! Asks DNS servers, by the system's own settings, which are read again whenever they change.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{
        ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
        ServerOrderingStrategy,
    },
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    },
};

use super::{
    answer::{self, Service},
    hosts::Hosts,
    resolv_conf::ResolvConf,
};
use crate::telemetry::metrics::LookupResult;

/// Files of the system, and where servers listen.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) port: u16,
}

impl Default for Places {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), port: 53 }
    }
}

/// Why a name has no answer now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It does not exist, or has no such records.
    #[error("there is no such name, or it has no address")]
    NotFound,
    /// Nobody answered.
    #[error("no answer in time")]
    Timeout,
    /// Something else.
    #[error("{0}")]
    Server(NetError),
    /// The name cannot be asked for.
    #[error("this is no name: {0}")]
    Name(String),
}

impl Failure {
    /// As a label has it.
    pub(super) fn result(&self) -> LookupResult {
        match self {
            Self::NotFound => LookupResult::NotFound,
            Self::Timeout => LookupResult::Timeout,
            Self::Server(_) | Self::Name(_) => LookupResult::Failed,
        }
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Timeout => Self::Timeout,
            NetError::Dns(DnsError::NoRecordsFound(none))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                Self::NotFound
            }
            _ => Self::Server(error),
        }
    }
}

/// Addresses, and for how long they are good.
#[derive(Debug)]
pub(super) struct Addresses {
    /// At least one, sorted.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

/// Services, and for how long they are good.
pub(super) struct Services {
    /// At least one.
    pub(super) services: Vec<Service>,
    pub(super) ttl: Duration,
}

/// Looks names up. What it needs is made with the first one, since most sidecars have none.
#[derive(Default)]
pub(crate) struct Resolver {
    places: Places,
    made: Mutex<Option<Made>>,
}

struct Made {
    /// What the files held.
    settings: [Vec<u8>; 2],
    resolver: TokioResolver,
    hosts: std::sync::Arc<Hosts>,
}

impl Resolver {
    /// With files of a test.
    #[cfg(test)]
    pub(super) fn at(places: Places) -> Self {
        Self { places, made: Mutex::default() }
    }

    /// The resolver for the settings as they are now. Reads two small files: on the control thread alone.
    fn current(&self) -> Result<(TokioResolver, std::sync::Arc<Hosts>), Failure> {
        let settings = [read(&self.places.resolv_conf), read(&self.places.hosts)];
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.settings == settings) {
            return Ok((made.resolver.clone(), made.hosts.clone()));
        }
        let conf = ResolvConf::parse(&String::from_utf8_lossy(&settings[0]));
        let resolver = build(&conf, self.places.port)?;
        let hosts = std::sync::Arc::new(Hosts::parse(&String::from_utf8_lossy(&settings[1])));
        tracing::debug!(?conf, "DNS servers");
        *made = Some(Made { settings, resolver: resolver.clone(), hosts: hosts.clone() });
        Ok((resolver, hosts))
    }

    /// The addresses of a name: of the hosts file, else of the first search domain that has it.
    pub(super) async fn addresses(&self, name: &str) -> Result<Addresses, Failure> {
        let (resolver, hosts) = self.current()?;
        if let Some(known) = hosts.get(name) {
            // The file is looked at again soon, since it costs nothing.
            let mut addresses = known.to_vec();
            addresses.sort_unstable();
            return Ok(Addresses { addresses, ttl: super::SHORTEST * 5 });
        }
        let found = resolver.lookup_ip(parsed(name)?).await?;
        let records = found.as_lookup().answers();
        let mut addresses: Vec<IpAddr> = records.iter().filter_map(|one| one.data.ip_addr()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(Failure::NotFound);
        }
        Ok(Addresses { addresses, ttl: ttl(records) })
    }

    /// Addresses of a host in a URL, which may be one itself, with this port.
    ///
    /// # Errors
    /// The name has none, or nobody says so.
    pub(crate) async fn sockets(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let found = self.addresses(host).await.map_err(io::Error::other)?;
        Ok(found.addresses.into_iter().map(|address| (address, port).into()).collect())
    }

    /// The services behind a name that have the best priority.
    pub(super) async fn services(&self, name: &str) -> Result<Services, Failure> {
        let (resolver, _) = self.current()?;
        let found = resolver.lookup(parsed(name)?, RecordType::SRV).await?;
        let records = found.answers();
        let service = |record: &Record| match &record.data {
            RData::SRV(srv) => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii().to_ascii_lowercase().into(),
            }),
            _ => None,
        };
        let services = answer::best(records.iter().filter_map(service).collect());
        if services.is_empty() {
            return Err(Failure::NotFound);
        }
        Ok(Services { services, ttl: ttl(records) })
    }
}

fn parsed(name: &str) -> Result<Name, Failure> {
    Name::from_ascii(name).map_err(|error| Failure::Name(error.to_string()))
}

/// An answer is as good as its shortest record, aliases included.
fn ttl(records: &[Record]) -> Duration {
    Duration::from_secs(records.iter().map(|record| record.ttl).min().unwrap_or(0).into())
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
    let search = conf.search.iter().filter_map(|domain| {
        let mut domain = Name::from_ascii(domain).ok()?;
        domain.set_fqdn(true);
        Some(domain)
    });
    let server = |ip: &IpAddr| {
        let mut connections = vec![ConnectionConfig::tcp()];
        if !conf.use_vc {
            connections.insert(0, ConnectionConfig::udp());
        }
        connections.iter_mut().for_each(|connection| connection.port = port);
        NameServerConfig::new(*ip, true, connections)
    };
    let servers = conf.servers.iter().map(server).collect();
    let config = ResolverConfig::from_parts(None, search.collect(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.ndots = conf.ndots;
    options.timeout = conf.timeout;
    options.attempts = conf.attempts;
    options.edns0 = conf.edns0;
    options.server_ordering_strategy = match conf.rotate {
        true => ServerOrderingStrategy::RoundRobin,
        false => ServerOrderingStrategy::UserProvidedOrder,
    };
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never; // ours is asked first
    options.cache_size = 0; // a name is asked for when its answer is over
    Ok(builder.build()?)
}
