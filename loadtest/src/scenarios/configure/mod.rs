//! The same task, configured for each proxy. Unsupported parts are omitted and reported.

mod envoy;
mod haproxy;
mod outrigger;

use std::net::SocketAddr;

use self::envoy::envoy;
use self::haproxy::haproxy;
use self::outrigger::outrigger;
use super::catalogue::{Scenario, Settings};
use crate::candidate::Candidate;

/// Interval of health checks, in milliseconds.
const CHECK_INTERVAL: u32 = 1000;

/// Timeout of a health check.
const CHECK_TIMEOUT: u32 = 500;

/// Errors in a row after which an endpoint is ejected by passive detection.
const CONSECUTIVE_ERRORS: u32 = 5;

/// Connect timeout, in milliseconds.
const CONNECT_TIMEOUT: u32 = 250;

/// Input of a configuration.
pub(super) struct Wanted<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) settings: &'a Settings,
    /// Where the proxy listens, on 127.0.0.1.
    pub(super) port: u16,
    /// Keys that this version of Outrigger does not support.
    pub(super) without: &'a [String],
    /// The endpoints' addresses, in the scenario's order.
    pub(super) endpoints: &'a [SocketAddr],
}

/// The configuration, with the name of its file; `None` when this candidate does not support the
/// task, or is not used here.
pub(super) fn configuration(
    candidate: &Candidate,
    wanted: &Wanted,
) -> Option<(&'static str, String)> {
    match candidate {
        Candidate::Outrigger(_) => Some(("outrigger.yaml", outrigger(wanted))),
        Candidate::Haproxy(_) => haproxy(wanted).map(|text| ("haproxy.cfg", text)),
        Candidate::Envoy(_) => Some(("envoy.yaml", envoy(wanted))),
        Candidate::Direct
        | Candidate::Bare(_)
        | Candidate::Nginx(_)
        | Candidate::Caddy(_)
        | Candidate::Pingora(_) => None,
    }
}

impl Wanted<'_> {
    /// Name, weight and address of each endpoint.
    fn endpoints(&self) -> impl Iterator<Item = (&'static str, u32, SocketAddr)> {
        let addresses = self.endpoints.iter().copied();
        self.scenario
            .endpoints
            .iter()
            .zip(addresses)
            .map(|(one, address)| (one.name, one.weight, address))
    }
}

/// A list such as `[502, 503]`.
fn list<T: ToString>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(separator)
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::catalogue;
    use super::*;

    #[test]
    fn every_scenario_has_every_endpoint_in_every_configuration() {
        let endpoints: Vec<SocketAddr> = ["127.0.0.1:21001", "127.0.0.1:21002", "127.0.0.1:21003"]
            .map(|at| at.parse().unwrap())
            .into();
        for scenario in &catalogue() {
            for variant in &scenario.variants {
                let settings = &variant.settings;
                let wanted = Wanted {
                    scenario,
                    settings,
                    port: 21000,
                    without: &[],
                    endpoints: &endpoints,
                };
                let mut texts = vec![outrigger(&wanted), envoy(&wanted)];
                texts.extend(haproxy(&wanted));
                assert_eq!(
                    texts.len() == 2,
                    settings.hedge.is_some(),
                    "{}",
                    scenario.name
                );
                for text in texts {
                    for port in ["21000", "21001", "21002", "21003"] {
                        assert!(
                            text.contains(port),
                            "{}: {port} is missing in\n{text}",
                            scenario.name
                        );
                    }
                    assert_eq!(
                        text.contains("healthz"),
                        settings.health,
                        "{}:\n{text}",
                        scenario.name
                    );
                }
            }
        }
    }
    #[test]
    fn a_key_that_is_left_out_takes_what_is_under_it_along() {
        let scenario = &catalogue()[0];
        let endpoints = ["127.0.0.1:21001".parse().unwrap(); 3];
        let text = |without: &[String]| {
            let settings = &scenario.variants[0].settings;
            outrigger(&Wanted {
                scenario,
                settings,
                port: 21000,
                without,
                endpoints: &endpoints,
            })
        };
        let (whole, cut) = (
            text(&[]),
            text(&["healthCheck".to_owned(), "retry".to_owned()]),
        );
        let left_out: Vec<_> = whole
            .lines()
            .filter(|line| !cut.contains(line))
            .map(str::trim)
            .collect();
        let keys: Vec<_> = left_out
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(
            keys,
            [
                "healthCheck",
                "retry",
                "attempts",
                "codes",
                "conditions",
                "backoff"
            ]
        );
    }
}
