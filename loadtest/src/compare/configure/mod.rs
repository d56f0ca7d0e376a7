//! The same work, configured for each proxy as its manual recommends. If a proxy cannot do it, the
//! reason is reported.
//!
//! All proxies have: one worker or thread, keep-alive with clients and upstream, no access log, no
//! limit that the load could reach, TLS 1.2 and 1.3 with one P-256 certificate, and no session
//! resumption unless it is measured.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod outrigger;
mod pingora;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::candidate::Candidate;

/// Connections and requests that every configuration must allow.
const PLENTY: u32 = 12_000;

/// The task of a proxy in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The client protocol.
    pub listen: Listen,
    /// Whether sessions may be resumed.
    pub resumption: bool,
    /// The upstream.
    pub upstream: Upstream,
    /// Whether every request requires a token, signed with RS256 or ES256.
    pub tokens: bool,
    /// Routes with one path each; 0 means one route for all paths.
    pub routes: usize,
    /// The first N of Outrigger's filters on that route, in the order of the sweep.
    pub filters: usize,
    /// All traffic policies of Outrigger, on that route and its upstream.
    pub policy: bool,
}

/// The client protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// No TLS.
    Plain,
    /// TLS.
    Tls,
    /// TLS with a client certificate.
    Mtls,
}

/// The upstream of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// An origin on a port.
    Http,
    /// The same on a Unix socket; HAProxy, the reference, uses the port.
    Socket,
    /// An origin with HTTP/2.
    Grpc,
    /// Two endpoints, of which the first fails some requests; they must be retried at the second.
    Failing,
    /// Two origins, as fast as the one.
    Pair,
    /// The origin with several addresses.
    Endpoints(u32),
}

impl Setup {
    /// Plain HTTP/1.1 to an origin on a port.
    pub const PLAIN: Self = Self {
        listen: Listen::Plain,
        resumption: false,
        upstream: Upstream::Http,
        tokens: false,
        routes: 0,
        filters: 0,
        policy: false,
    };

    /// The filters of the route.
    fn filters(&self) -> &'static [(&'static str, &'static str)] {
        if self.policy {
            &FILTERS[POLICY]
        } else {
            &FILTERS[..self.filters]
        }
    }
}

/// Input of a configuration.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) setup: &'a Setup,
    /// Where the proxy listens.
    pub(super) listen: SocketAddr,
    /// The upstream.
    pub(super) upstreams: &'a [SocketAddr],
    /// The origin's other address.
    pub(super) socket: &'a Path,
    /// Folder of certificates and keys.
    pub(super) material: &'a Path,
    /// The proxy's own folder.
    pub(super) folder: &'a Path,
}

/// Files by name; the first is the configuration.
pub(super) type Files = Vec<(&'static str, String)>;

/// Filters of Outrigger in the order of the sweep, with the line of each in a route.
pub(super) static FILTERS: [(&str, &str); 13] = [
    (
        "request headers",
        "    requestHeaders: { set: { x-api: v2 }, remove: [x-debug] }\n",
    ),
    (
        "response headers",
        "    responseHeaders: { set: { x-frame-options: DENY } }\n",
    ),
    (
        "CORS",
        "    cors: { allowOrigins: [\"https://shop.example.com\"], maxAge: 10m }\n",
    ),
    ("authorize", ""),
    ("rate limit by address", ""),
    ("rate limit for all", ""),
    ("concurrency", "    concurrency: { max: 20000 }\n"),
    (
        "per-try timeout",
        "    timeouts: { request: 15s, backendRequest: 5s }\n",
    ),
    (
        "fault, at 0 %",
        "    fault: { abortStatus: 503, abortPercent: 0 }\n",
    ),
    (
        "retry",
        "    retry: { attempts: 2, codes: [502, 503, 504] }\n",
    ),
    ("hedge", "    hedge: { after: p95, maxPercent: 1 }\n"),
    (
        "rewrite",
        "    urlRewrite: { path: { replacePrefixMatch: / } }\n",
    ),
    ("JWT, a cached token", ""),
];

/// Those that are traffic policies.
const POLICY: RangeInclusive<usize> = 4..=10;

/// The files of a configuration.
///
/// # Errors
/// Why this candidate cannot do the task.
pub(super) fn configuration(candidate: &Candidate, wanted: &Wanted) -> Result<Files, &'static str> {
    if wanted.setup.filters > 0 && !matches!(candidate, Candidate::Outrigger(_)) {
        return Err("these filters are Outrigger's");
    }
    if wanted.setup.policy && !matches!(candidate, Candidate::Outrigger(_) | Candidate::Bare(_)) {
        return Err("this policy is Outrigger's");
    }
    match candidate {
        Candidate::Direct => Err("is not a proxy"),
        Candidate::Outrigger(_) => Ok(outrigger::files(wanted)),
        Candidate::Bare(_) if wanted.setup.policy => {
            let setup = Setup {
                policy: false,
                ..wanted.setup.clone()
            };
            Ok(outrigger::files(&Wanted {
                setup: &setup,
                ..*wanted
            }))
        }
        Candidate::Bare(_) => Err("there is nothing to omit"),
        Candidate::Haproxy(_) => Ok(haproxy::files(wanted)),
        Candidate::Nginx(_) => nginx::files(wanted),
        Candidate::Envoy(_) => Ok(envoy::files(wanted)),
        Candidate::Caddy(_) => caddy::files(wanted),
        Candidate::Pingora(_) => pingora::files(wanted),
    }
}

impl Wanted<'_> {
    /// The path of a certificate, key or key set.
    fn file(&self, name: &str) -> String {
        self.material.join(name).display().to_string()
    }

    /// The path of a file in the proxy's own folder.
    fn own(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tls(&self) -> bool {
        self.setup.listen != Listen::Plain
    }

    fn grpc(&self) -> bool {
        self.setup.upstream == Upstream::Grpc
    }

    /// Whether there is more than one endpoint.
    fn several(&self) -> bool {
        matches!(
            self.setup.upstream,
            Upstream::Failing | Upstream::Pair | Upstream::Endpoints(_)
        )
    }

    fn failing(&self) -> bool {
        self.setup.upstream == Upstream::Failing
    }

    /// The paths of all routes.
    fn routes(&self) -> impl Iterator<Item = String> {
        (0..self.setup.routes).map(route)
    }

    /// A piece of text for each endpoint.
    fn endpoints(&self, text: impl Fn(&SocketAddr) -> String) -> String {
        self.upstreams.iter().map(text).collect()
    }
}

/// The path of a route, which is not a prefix of any other; the origin responds with `200`.
pub(super) fn route(number: usize) -> String {
    format!("/status/200/r{number:05}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_has_its_ports_and_leaves_out_only_what_cannot_be_done() {
        let upstreams: Vec<SocketAddr> = ["127.0.0.1:9001", "127.0.0.1:9002"]
            .map(|address| address.parse().unwrap())
            .into();
        let peers = [
            Candidate::Outrigger(PathBuf::new()),
            Candidate::Haproxy(PathBuf::new()),
            Candidate::Nginx(PathBuf::new()),
            Candidate::Envoy(PathBuf::new()),
            Candidate::Caddy(PathBuf::new()),
            Candidate::Pingora(PathBuf::new()),
        ];
        for setup in [
            Setup::PLAIN,
            Setup {
                listen: Listen::Mtls,
                ..Setup::PLAIN
            },
            Setup {
                listen: Listen::Tls,
                resumption: true,
                ..Setup::PLAIN
            },
            Setup {
                upstream: Upstream::Grpc,
                ..Setup::PLAIN
            },
            Setup {
                upstream: Upstream::Failing,
                ..Setup::PLAIN
            },
            Setup {
                tokens: true,
                ..Setup::PLAIN
            },
            Setup {
                routes: 3,
                ..Setup::PLAIN
            },
        ] {
            let wanted = Wanted {
                setup: &setup,
                listen: "127.0.0.1:8000".parse().unwrap(),
                upstreams: if setup.upstream == Upstream::Failing {
                    &upstreams
                } else {
                    &upstreams[..1]
                },
                socket: Path::new("/run/app.sock"),
                material: Path::new("/material"),
                folder: Path::new("/own"),
            };
            for peer in &peers {
                let Ok(files) = configuration(peer, &wanted) else {
                    assert!(
                        !matches!(peer, Candidate::Outrigger(_) | Candidate::Haproxy(_)),
                        "{setup:?}"
                    );
                    continue;
                };
                let text: String = files.iter().map(|(_, text)| text.as_str()).collect();
                assert!(
                    text.contains("8000") && text.contains("9001"),
                    "{}:\n{text}",
                    peer.name()
                );
                assert_eq!(
                    text.contains("9002"),
                    setup.upstream == Upstream::Failing,
                    "{text}"
                );
                assert_eq!(
                    text.contains("/material/ca.crt"),
                    setup.listen == Listen::Mtls,
                    "{text}"
                );
                assert_eq!(
                    text.contains("r00002"),
                    setup.routes == 3,
                    "{}:\n{text}",
                    peer.name()
                );
            }
        }
    }

    #[test]
    fn the_two_outriggers_of_a_policy_scenario_differ_in_the_policy_and_nothing_else() {
        let upstreams: Vec<SocketAddr> = ["127.0.0.1:9001", "127.0.0.1:9002"]
            .map(|address| address.parse().unwrap())
            .into();
        let setup = Setup {
            upstream: Upstream::Pair,
            policy: true,
            ..Setup::PLAIN
        };
        let wanted = Wanted {
            setup: &setup,
            listen: "127.0.0.1:8000".parse().unwrap(),
            upstreams: &upstreams,
            socket: Path::new("/run/app.sock"),
            material: Path::new("/material"),
            folder: Path::new("/own"),
        };
        let text = |candidate: Candidate| configuration(&candidate, &wanted).unwrap().remove(0).1;
        let with = text(Candidate::Outrigger(PathBuf::new()));
        let without = text(Candidate::Bare(PathBuf::new()));
        let policy = [
            "byAddress: { requests: 1000000, per: 1s, key: clientIP }",
            "forAll: { requests: 1000000, per: 1s, key: global }",
            "rateLimits: [byAddress, forAll]",
            "concurrency: { max: 20000 }",
            "backendRequest: 5s",
            "retry: { attempts: 2, codes: [502, 503, 504] }",
            "hedge: { after: p95, maxPercent: 1 }",
            "fault: { abortStatus: 503, abortPercent: 0 }",
            "policy: peakEwma, slowStart: ",
            "healthCheck: { path: ",
            "outlierDetection: { consecutiveErrors: ",
            "circuitBreaker: { maxConnections: ",
            "retryBudget: { percent: ",
        ];
        for piece in policy {
            assert!(
                with.contains(piece) && !without.contains(piece),
                "{piece}:\n{with}\n{without}"
            );
        }
        assert!(
            with.contains("timeouts: { request: 15s,")
                && without.contains("timeouts: { request: 15s }")
        );
        // Other settings are in both configurations.
        let is_policy = |line: &str| policy.iter().any(|piece| line.contains(piece));
        let rest = |text: &str| {
            let lines = text
                .lines()
                .filter(|line| !is_policy(line) && !line.contains("request: 15s"));
            lines
                .filter(|line| *line != "rateLimits:")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(rest(&with), rest(&without));
        assert!(
            without.contains("9001") && without.contains("9002"),
            "{without}"
        );
        for other in [
            Candidate::Haproxy(PathBuf::new()),
            Candidate::Envoy(PathBuf::new()),
        ] {
            assert_eq!(
                configuration(&other, &wanted),
                Err("this policy is Outrigger's")
            );
        }
    }
}
