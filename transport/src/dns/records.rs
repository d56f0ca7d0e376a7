//! Makes endpoints of DNS responses.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use outrigger_config::model::EndpointSpec;

/// Most endpoints of one response: each of them costs every worker a pool.
const MOST: usize = 1024;

/// Highest weight of an endpoint, the same as in the configuration file.
const MOST_WEIGHT: u64 = 1000;

/// Parts into which a weight is divided to share it between addresses.
const FINE: u64 = 60;

/// One service of an SRV response (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The target's name, with the dot of the root.
    pub(super) target: Box<str>,
}

/// The services with the best (lowest) priority. A target `.` means that there is no service.
pub(super) fn best(mut services: Vec<Service>) -> Vec<Service> {
    services.retain(|service| &*service.target != "." && service.port > 0);
    let best = services.iter().map(|service| service.priority).min();
    services.retain(|service| Some(service.priority) == best);
    services.sort_by(|one, other| (&one.target, one.port).cmp(&(&other.target, other.port)));
    services
}

/// One endpoint for each address. IPv4 addresses only where there are any, so that a dual-stack
/// server counts once.
pub(super) fn endpoints(
    addresses: &[IpAddr],
    port: u16,
    authority: &Arc<str>,
) -> Vec<EndpointSpec> {
    let one =
        |address: IpAddr| EndpointSpec::resolved((address, port).into(), Arc::clone(authority), 1);
    counted_once(addresses).map(one).collect()
}

/// The same for services. The addresses of a target share its weight; a weight of 0 becomes a small
/// one.
pub(super) fn service_endpoints(services: &[(Service, Vec<IpAddr>)]) -> Vec<EndpointSpec> {
    let share = |service: &Service, addresses: &[IpAddr]| {
        let count = counted_once(addresses).count().max(1) as u64;
        u64::from(service.weight.max(1)) * FINE / count
    };
    let largest = services
        .iter()
        .map(|(service, addresses)| share(service, addresses))
        .max()
        .unwrap_or(1);
    // Exact weights where they fit the range, otherwise scaled in proportion.
    let by = |share: u64| match largest {
        small if small <= MOST_WEIGHT && share > 0 => share,
        _ => share * MOST_WEIGHT / largest.max(1),
    };
    let mut endpoints = Vec::new();
    for (service, addresses) in services {
        let host = service.target.strip_suffix('.').unwrap_or(&service.target);
        let authority: Arc<str> = format!("{host}:{}", service.port).into();
        let weight = u32::try_from(by(share(service, addresses)).max(1)).unwrap_or(1);
        for address in counted_once(addresses) {
            let address = SocketAddr::new(address, service.port);
            endpoints.push(EndpointSpec::resolved(
                address,
                Arc::clone(&authority),
                weight,
            ));
        }
    }
    endpoints
}

fn counted_once(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let has_v4 = addresses.iter().any(IpAddr::is_ipv4);
    addresses
        .iter()
        .copied()
        .filter(move |address| address.is_ipv4() || !has_v4)
}

/// Keeps at most [`MOST`] endpoints, in an order that does not depend on the order of the server.
pub(super) fn bound(endpoints: &mut Vec<EndpointSpec>) {
    endpoints.sort_by_key(|one| (one.authority.clone(), format!("{:?}", one.address)));
    endpoints.dedup();
    if endpoints.len() > MOST {
        tracing::warn!(
            found = endpoints.len(),
            "only {MOST} endpoints of a DNS response are used"
        );
        endpoints.truncate(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, port: u16, target: &str) -> Service {
        Service {
            priority,
            weight,
            port,
            target: target.into(),
        }
    }

    fn shown(endpoints: &[EndpointSpec]) -> Vec<String> {
        endpoints
            .iter()
            .map(|one| format!("{:?} {} {}", one.address, one.authority, one.weight))
            .collect()
    }

    #[test]
    fn the_best_priority_counts_and_a_root_target_means_no_service() {
        let found = best(vec![
            service(20, 1, 80, "late.example."),
            service(10, 5, 81, "b.example."),
            service(10, 0, 80, "a.example."),
            service(0, 1, 80, "."),
            service(0, 1, 0, "no-port.example."),
        ]);
        let expected = [
            service(10, 0, 80, "a.example."),
            service(10, 5, 81, "b.example."),
        ];
        assert_eq!(found, expected);
        assert_eq!(best(vec![service(0, 0, 0, ".")]), []);
    }

    #[test]
    fn a_target_s_addresses_share_its_weight() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let two = [
            (
                service(1, 30, 80, "a.example."),
                vec![ip("10.0.0.1"), ip("10.0.0.2"), ip("fd00::1")],
            ),
            (service(1, 0, 81, "b.example."), vec![ip("fd00::2")]),
        ];
        assert_eq!(
            shown(&service_endpoints(&two)),
            [
                "Socket(10.0.0.1:80) a.example:80 900",
                "Socket(10.0.0.2:80) a.example:80 900",
                "Socket([fd00::2]:81) b.example:81 60",
            ]
        );
        let large = [
            (service(1, 65535, 80, "a.example."), vec![ip("10.0.0.1")]),
            (service(1, 32768, 80, "b.example."), vec![ip("10.0.0.2")]),
            (service(1, 1, 80, "c.example."), vec![ip("10.0.0.3")]),
        ];
        let weights: Vec<u32> = service_endpoints(&large)
            .iter()
            .map(|one| one.weight)
            .collect();
        assert_eq!(weights, [1000, 500, 1]);
    }

    #[test]
    fn a_server_with_both_kinds_of_address_is_counted_once() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let both = endpoints(
            &[ip("fd00::1"), ip("10.0.0.1")],
            9200,
            &"search:9200".into(),
        );
        assert_eq!(shown(&both), ["Socket(10.0.0.1:9200) search:9200 1"]);
        let new = endpoints(&[ip("fd00::1")], 9200, &"search:9200".into());
        assert_eq!(shown(&new), ["Socket([fd00::1]:9200) search:9200 1"]);
    }

    #[test]
    fn an_answer_has_a_bound_and_an_order_of_its_own() {
        let addresses: Vec<IpAddr> = (0..5000_u32)
            .rev()
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        let mut many = endpoints(&addresses, 80, &"many".into());
        let mut again: Vec<_> = many.iter().rev().cloned().collect();
        bound(&mut many);
        bound(&mut again);
        assert_eq!((many.len(), many == again), (MOST, true));
    }
}
