//! Upstreams and their endpoints.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{
    defaults,
    hostname::is_dns_name,
    name,
    value::{narrow, number, time_or_off, time_over_zero, word},
};
use crate::{
    model::{
        App, AppAddress, ConnectionSettings, EndpointAddress, EndpointSpec, LoadBalancerPolicy, Protocol,
        Upstream, UpstreamKind,
    },
    problem::{Place, Report},
    schema::{At, ConnectionsBlock, EndpointBlock, Entries, UpstreamBlock},
};

/// All upstreams: the app first, then in file order.
pub(super) fn upstreams(
    app: Option<&App>,
    written: Option<&At<Entries<UpstreamBlock>>>,
    report: &mut Report,
) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = app.map(app_upstream).into_iter().collect();
    let Some(written) = written else { return upstreams };
    if written.value.0.is_empty() {
        let help = "add an upstream or remove the key";
        report.error(&written.place, "empty-list", "there is no upstream", help);
    }
    for (key, block) in &written.value.0 {
        name::check(&key.value, &key.place, report);
        name::not_reserved(&key.value, &key.place, report);
        upstreams.push(upstream(&key.value, &block.value, report));
    }
    upstreams
}

fn app_upstream(app: &App) -> Upstream {
    let (address, authority) = match &app.address {
        AppAddress::Tcp(socket) => (EndpointAddress::Socket(*socket), socket.to_string()),
        AppAddress::Unix(path) => (EndpointAddress::Unix(path.clone()), "localhost".to_owned()),
    };
    Upstream {
        name: "app".into(),
        kind: UpstreamKind::App,
        endpoints: vec![EndpointSpec { address, authority: authority.into(), weight: 1 }],
        protocol: app.protocol,
        load_balancer: LoadBalancerPolicy::LeastRequest,
        connections: ConnectionSettings {
            connect_timeout: defaults::CONNECT_TIMEOUT,
            idle_timeout: defaults::APP_IDLE,
            max_age: None,
        },
    }
}

fn upstream(name: &str, block: &UpstreamBlock, report: &mut Report) -> Upstream {
    let written = block.endpoints.as_ref();
    if let Some(empty) = written.filter(|endpoints| endpoints.value.is_empty()) {
        let help = "write `- url: http://host:port`";
        report.error(&empty.place, "empty-list", "an upstream needs at least one endpoint", help);
    }
    let items = written.map_or(&[][..], |endpoints| &endpoints.value);
    let policy = block.load_balancer.as_ref().map_or(LoadBalancerPolicy::LeastRequest, |balancer| {
        word(&balancer.value.policy, LoadBalancerPolicy::LeastRequest)
    });
    Upstream {
        name: name.into(),
        kind: UpstreamKind::External,
        endpoints: items.iter().filter_map(|item| endpoint(&item.value, report)).collect(),
        protocol: word(&block.protocol, Protocol::Auto),
        load_balancer: policy,
        connections: connections(block.connections.as_ref(), defaults::UPSTREAM_IDLE, report),
    }
}

fn connections(
    block: Option<&At<ConnectionsBlock>>,
    idle: Duration,
    report: &mut Report,
) -> ConnectionSettings {
    let none = ConnectionsBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    ConnectionSettings {
        connect_timeout: time_over_zero(&block.connect_timeout, defaults::CONNECT_TIMEOUT, report),
        idle_timeout: time_over_zero(&block.idle_timeout, idle, report),
        max_age: time_or_off(&block.max_age, None),
    }
}

fn endpoint(block: &EndpointBlock, report: &mut Report) -> Option<EndpointSpec> {
    let url = block.url.as_ref()?;
    let (address, authority) = match parse_url(&url.value) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refusal.report(&url.value, &url.place, report);
            return None;
        }
    };
    Some(EndpointSpec { address, authority: authority.into(), weight: narrow(number(&block.weight, 1)) })
}

/// Why a URL is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Https,
    Scheme(String),
    User,
    Path(String),
    Host,
    Port,
}

impl Refusal {
    fn report(&self, url: &str, place: &Place, report: &mut Report) {
        let (code, message, help) = match self {
            Self::Https => (
                "not-supported",
                "https upstreams are not supported by this version".to_owned(),
                "write http://, or send to a TLS proxy of your own".to_owned(),
            ),
            Self::Scheme(guess) => {
                ("bad-url", format!("{url:?} does not begin with http://"), format!("write {guess}"))
            }
            Self::User => (
                "bad-url",
                "a URL here has no user or password".to_owned(),
                "remove everything up to `@`".to_owned(),
            ),
            Self::Path(base) => (
                "bad-url",
                "a URL here has no path, query or fragment".to_owned(),
                format!("write {base}; `urlRewrite` of a route changes the path"),
            ),
            Self::Host => {
                ("bad-url", format!("{url:?} has no valid host"), "write http://host:port".to_owned())
            }
            Self::Port => (
                "bad-url",
                format!("{url:?} has no valid port"),
                "a port is a number from 1 to 65535".to_owned(),
            ),
        };
        report.error(place, code, message, help);
    }
}

/// Reads `http://host[:port]`.
fn parse_url(url: &str) -> Result<(EndpointAddress, String), Refusal> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| Refusal::Scheme(format!("http://{url}")))?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "https" {
        return Err(Refusal::Https);
    }
    if scheme != "http" {
        return Err(Refusal::Scheme(format!("http://{rest}")));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err(Refusal::User);
    }
    if !matches!(tail, "" | "/") {
        return Err(Refusal::Path(format!("http://{authority}")));
    }
    let (host, port) = split_port(authority)?;
    let address = address(host, port)?;
    let shown = host.to_ascii_lowercase();
    Ok((address, if port == 80 { shown } else { format!("{shown}:{port}") }))
}

fn split_port(authority: &str) -> Result<(&str, u16), Refusal> {
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let Some(colon) = colon else { return Ok((authority, 80)) };
    let digits = &authority[colon + 1..];
    let port = digits.parse().ok().filter(|port| *port > 0 && !digits.starts_with('+'));
    port.map(|port| (&authority[..colon], port)).ok_or(Refusal::Port)
}

fn address(host: &str, port: u16) -> Result<EndpointAddress, Refusal> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| Refusal::Host)?;
        return Ok(EndpointAddress::Socket(SocketAddr::new(ip.into(), port)));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return if ip.is_ipv4() {
            Ok(EndpointAddress::Socket(SocketAddr::new(ip, port)))
        } else {
            Err(Refusal::Host)
        };
    }
    // `10.0.0` or `1.2.3.4.5` is a mistyped address, not a name.
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if numeric || !is_dns_name(name) {
        return Err(Refusal::Host);
    }
    Ok(EndpointAddress::Host { name: host.to_ascii_lowercase().into(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses_and_authorities() {
        let socket = |text: &str| EndpointAddress::Socket(text.parse().unwrap());
        let host = |name: &str, port| EndpointAddress::Host { name: name.into(), port };
        for (url, expected) in [
            ("http://a.example", Ok((host("a.example", 80), "a.example"))),
            ("HTTP://A.Example:80", Ok((host("a.example", 80), "a.example"))),
            ("http://a:8080/", Ok((host("a", 8080), "a:8080"))),
            ("http://10.0.0.1:81", Ok((socket("10.0.0.1:81"), "10.0.0.1:81"))),
            ("http://[::1]", Ok((socket("[::1]:80"), "[::1]"))),
            ("http://[::1]:81", Ok((socket("[::1]:81"), "[::1]:81"))),
            (
                "http://svc.ns.svc.cluster.local.:80",
                Ok((host("svc.ns.svc.cluster.local.", 80), "svc.ns.svc.cluster.local.")),
            ),
            ("https://a", Err(Refusal::Https)),
            ("a:8080", Err(Refusal::Scheme("http://a:8080".to_owned()))),
            ("ftp://a", Err(Refusal::Scheme("http://a".to_owned()))),
            ("http://u:p@a", Err(Refusal::User)),
            ("http://a/x", Err(Refusal::Path("http://a".to_owned()))),
            ("http://a?x", Err(Refusal::Path("http://a".to_owned()))),
            ("http://", Err(Refusal::Host)),
            ("http://::1", Err(Refusal::Host)),
            ("http://a b", Err(Refusal::Host)),
            ("http://10.0.0", Err(Refusal::Host)),
            ("http://a:0", Err(Refusal::Port)),
            ("http://a:x", Err(Refusal::Port)),
            ("http://a:65536", Err(Refusal::Port)),
        ] {
            let expected = expected.map(|(address, authority)| (address, authority.to_owned()));
            assert_eq!(parse_url(url), expected, "{url}");
        }
    }
}
