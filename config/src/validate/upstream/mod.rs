//! Upstreams and their endpoints.

use std::time::Duration;

use super::{
    defaults, name, url,
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
enum Refusal {
    Url(url::Refusal),
    Https,
    Path(String),
}

impl Refusal {
    fn report(&self, url: &str, place: &Place, report: &mut Report) {
        let (code, message, help) = match self {
            Self::Https => (
                "not-supported",
                "https upstreams are not supported by this version".to_owned(),
                "write http://, or send to a TLS proxy of your own".to_owned(),
            ),
            Self::Path(base) => (
                "bad-url",
                "a URL here has no path, query or fragment".to_owned(),
                format!("write {base}; `urlRewrite` of a route changes the path"),
            ),
            Self::Url(refusal) => return refusal.report(url, "http://host:port", place, report),
        };
        report.error(place, code, message, help);
    }
}

/// Reads `http://host[:port]`.
fn parse_url(url: &str) -> Result<(EndpointAddress, String), Refusal> {
    let parsed = url::parse(url).map_err(Refusal::Url)?;
    if parsed.secure {
        return Err(Refusal::Https);
    }
    match parsed.tail {
        "" | "/" => Ok((parsed.address, parsed.authority)),
        _ => Err(Refusal::Path(format!("http://{}", parsed.authority))),
    }
}
