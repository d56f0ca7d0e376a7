//! The scenarios and sweeps of the comparison.

use rustix::process::{Resource, getrlimit};

use super::configure::{FILTERS, Listen, Setup, Upstream, route};
use super::load::{Handshake, Load, Tokens};
use super::material::Algorithm;
use crate::candidate::Candidate;

/// One load with one configuration, the same for every candidate.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name on the command line.
    pub name: String,
    /// Description.
    pub title: String,
    /// The task of the proxies.
    pub setup: Setup,
    /// The load.
    pub load: Load,
    /// Outrigger's goals.
    pub goals: Vec<Goal>,
}

/// The reference of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// HAProxy, which does the same work.
    Haproxy,
    /// Outrigger without the features whose cost the scenario measures.
    Bare,
}

/// A goal of Outrigger, as a ratio to the reference in the same round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The figure.
    pub metric: Metric,
    /// The limit.
    pub hold: f64,
    /// The goal.
    pub goal: f64,
}

/// A figure that has goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// CPU time of the proxy for each request or handshake.
    Cpu,
    /// Median latency.
    P50,
}

/// Scenarios that differ in one number.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The name on the command line.
    pub name: &'static str,
    /// Description.
    pub title: &'static str,
    /// Label of the horizontal axis.
    pub axis: &'static str,
    /// The kind of fit.
    pub fit: Fit,
    /// The number and its scenario.
    pub points: Vec<(f64, Scenario)>,
}

/// The fit of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// `y = c * x^e`: both axes are logarithmic.
    Power,
    /// `y = a + b * x`.
    Line,
}

impl Scenario {
    fn new(name: &str, title: &str, setup: Setup, load: Load) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            setup,
            load,
            goals: Vec::new(),
        }
    }

    fn goal(mut self, metric: Metric, hold: f64, goal: f64) -> Self {
        self.goals.push(Goal { metric, hold, goal });
        self
    }

    fn cpu(self, hold: f64, goal: f64) -> Self {
        self.goal(Metric::Cpu, hold, goal)
    }

    /// The unit of work.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.load.handshakes.is_some() {
            "handshake"
        } else {
            "request"
        }
    }

    /// The reference.
    #[must_use]
    pub fn reference(&self) -> Reference {
        if self.setup.policy {
            Reference::Bare
        } else {
            Reference::Haproxy
        }
    }

    /// The candidates of this scenario: no direct row if a proxy is required, and Outrigger
    /// together with its reference.
    pub(super) fn taking_part(&self, candidates: &[Candidate]) -> Vec<Candidate> {
        let takes_part =
            |candidate: &&Candidate| **candidate != Candidate::Direct || self.has_direct();
        let with_bare = |candidate: &Candidate| {
            let bare = candidate
                .bare()
                .filter(|_| self.reference() == Reference::Bare);
            [Some(candidate.clone()), bare].into_iter().flatten()
        };
        candidates
            .iter()
            .filter(takes_part)
            .flat_map(with_bare)
            .collect()
    }

    /// Whether the same load can go directly to the origin.
    #[must_use]
    pub fn has_direct(&self) -> bool {
        let setup = &self.setup;
        setup.listen == Listen::Plain
            && !setup.tokens
            && setup.routes == 0
            && matches!(setup.upstream, Upstream::Http | Upstream::Grpc)
    }
}

impl Reference {
    /// All, in the order of the report.
    pub(super) const ALL: [Self; 2] = [Self::Haproxy, Self::Bare];

    /// The candidate's name.
    #[must_use]
    pub fn candidate(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Bare => "outrigger-bare",
        }
    }

    /// Its name in text.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Haproxy => "HAProxy",
            Self::Bare => self.candidate(),
        }
    }
}

impl Metric {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::P50 => "p50",
        }
    }
}

/// All scenarios, in the order in which they are measured.
#[must_use]
pub fn catalogue() -> Vec<Scenario> {
    let plain = Setup::PLAIN;
    let tls = Setup {
        listen: Listen::Tls,
        ..plain.clone()
    };
    let mtls = Setup {
        listen: Listen::Mtls,
        ..plain.clone()
    };
    let tokens = Setup {
        tokens: true,
        ..plain.clone()
    };
    let policy = Setup {
        upstream: Upstream::Pair,
        policy: true,
        ..plain.clone()
    };
    let small = Load::small;
    let shake = |kind| Load {
        handshakes: Some(kind),
        connections: 8,
        length: None,
        ..small()
    };
    let token = |tokens| Load {
        tokens: Some(tokens),
        ..small()
    };
    let (rsa, ecdsa) = (Algorithm::Rs256, Algorithm::Es256);
    let new = Scenario::new;
    vec![
        new("h1", "HTTP/1.1, 64 keep-alive connections, GET of 13 bytes", plain.clone(), small()).cpu(1.12, 0.92),
        new(
            "h1-headers",
            "the same with 16 request headers, about 1 KiB",
            plain.clone(),
            Load { headers: true, ..small() },
        )
        .cpu(1.15, 0.92),
        new(
            "h1-unix",
            "the same as h1 with the app on a Unix socket; HAProxy stays on TCP",
            Setup { upstream: Upstream::Socket, ..plain.clone() },
            small(),
        )
        .cpu(0.95, 0.75),
        new("tls", "TLS 1.3, HTTP/1.1, 64 keep-alive connections, GET of 13 bytes", tls.clone(), small())
            .cpu(1.00, 0.80),
        new("mtls", "the same with a client certificate", mtls.clone(), small()).cpu(1.00, 0.82),
        new(
            "h2",
            "HTTP/2 over TLS 1.3, 8 connections with 32 streams each",
            tls.clone(),
            Load { connections: 8, streams: 32, ..small() },
        )
        .cpu(1.25, 1.05),
        new(
            "handshake",
            "full TLS 1.3 handshakes, 8 at a time, no request",
            tls.clone(),
            shake(Handshake::Full),
        )
        .cpu(0.62, 0.55),
        new(
            "handshake-resumed",
            "TLS 1.3 handshakes resumed by ticket",
            Setup { resumption: true, ..tls.clone() },
            shake(Handshake::Resumed),
        ),
        new("handshake-mtls", "full handshakes with a client certificate", mtls, shake(Handshake::Full))
            .cpu(0.60, 0.53),
        new(
            "rs256-first",
            "a different token signed with RS256 in each request (2 500)",
            tokens.clone(),
            token(Tokens::First(rsa)),
        )
        .cpu(1.00, 0.90),
        new(
            "es256-first",
            "a different token signed with ES256 in each request (2 500)",
            tokens.clone(),
            token(Tokens::First(ecdsa)),
        )
        .cpu(0.90, 0.78),
        new(
            "rs256",
            "the same token signed with RS256 in each request",
            tokens.clone(),
            token(Tokens::Repeated(rsa)),
        )
        .cpu(0.42, 0.35),
        new("es256", "the same token signed with ES256 in each request", tokens, token(Tokens::Repeated(ecdsa)))
            .cpu(0.20, 0.16),
        new(
            "64k",
            "HTTP/1.1, 64 keep-alive connections, bodies of 64 KiB",
            plain.clone(),
            Load { path: "/bytes/65536".to_owned(), length: Some(65536), ..small() },
        )
        .cpu(0.95, 0.80),
        new("close", "a new connection for every request", plain.clone(), Load { fresh: true, ..small() })
            .cpu(1.20, 1.05),
        new(
            "one",
            "one connection, one request at a time",
            plain.clone(),
            Load { connections: 1, ..small() },
        )
        .cpu(1.00, 0.85)
        .goal(Metric::P50, 1.00, 1.00),
        new(
            "rate",
            "4 000 requests per second on a fixed schedule, 16 connections",
            plain.clone(),
            Load { connections: 16, rate: Some(4000.0), ..small() },
        )
        .cpu(1.10, 0.92),
        new(
            "grpc",
            "gRPC calls over HTTP/2 without TLS, 8 connections with 32 streams each",
            Setup { upstream: Upstream::Grpc, ..plain.clone() },
            Load {
                path: "/echo.Echo/Unary".to_owned(),
                connections: 8,
                streams: 32,
                grpc: true,
                length: None,
                ..small()
            },
        ),
        new(
            "retries",
            "two endpoints, one fails a fifth of its requests, which are retried at the other",
            Setup { upstream: Upstream::Failing, ..plain.clone() },
            Load { length: None, ..small() },
        ),
        routes(1000, "routes", "1 000 routes with exact paths, requests to the last"),
        new(
            "policy",
            "two endpoints and all traffic policies, compared with Outrigger without them, GET of 13 bytes",
            policy.clone(),
            small(),
        )
        .cpu(1.10, 1.10),
        new(
            "policy-headers",
            "the same with 16 request headers, about 1 KiB",
            policy,
            Load { headers: true, ..small() },
        )
        .cpu(1.10, 1.10),
    ]
}

fn routes(count: usize, name: &str, title: &str) -> Scenario {
    let load = Load {
        path: route(count - 1),
        length: None,
        ..Load::small()
    };
    Scenario::new(
        name,
        title,
        Setup {
            routes: count,
            ..Setup::PLAIN
        },
        load,
    )
}

/// Ten thousand, or the maximum for the descriptors of a proxy: one for the client connection and
/// one for the origin.
fn most_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    // The rest is for files, listeners and other descriptors of a proxy.
    usize::try_from(descriptors.saturating_sub(1000) / 2)
        .unwrap_or(usize::MAX)
        .clamp(1000, 10_000)
}

/// All sweeps.
#[must_use]
pub fn sweeps() -> Vec<Sweep> {
    let point =
        |x: f64, setup: Setup, load: Load| (x, Scenario::new(&x.to_string(), "", setup, load));
    let plain = |x: f64, load: Load| point(x, Setup::PLAIN, load);
    let body = |bytes: u64| Load {
        path: format!("/bytes/{bytes}"),
        // The generator verifies every byte: with more connections it would be the limit.
        connections: if bytes > 1 << 20 { 4 } else { 16 },
        length: Some(bytes),
        ..Load::small()
    };
    let with_filters = |count: usize| {
        let jwt = count == FILTERS.len();
        let load = Load {
            tokens: jwt.then_some(Tokens::Repeated(Algorithm::Es256)),
            ..Load::small()
        };
        let (x, mut scenario) = point(
            count as f64,
            Setup {
                filters: count,
                ..Setup::PLAIN
            },
            load,
        );
        scenario.title = count
            .checked_sub(1)
            .map_or_else(String::new, |last| format!("with {}", FILTERS[last].0));
        (x, scenario)
    };
    vec![
        Sweep {
            name: "growth-routes",
            title: "CPU per request by number of routes, requests to the last",
            axis: "routes",
            fit: Fit::Power,
            points: [1, 10, 100, 1000, 10_000]
                .map(|n| (n as f64, routes(n, "", "")))
                .into(),
        },
        Sweep {
            name: "growth-filters",
            title: "CPU per request by number of filters on the route",
            axis: "filters",
            fit: Fit::Line,
            points: (0..=FILTERS.len()).map(with_filters).collect(),
        },
        Sweep {
            name: "growth-connections",
            title: "CPU per request by connections, all of them busy",
            axis: "connections",
            fit: Fit::Power,
            points: [1, 8, 64, 512, 4096, most_connections()]
                .map(|connections| {
                    plain(
                        connections as f64,
                        Load {
                            connections,
                            ..Load::small()
                        },
                    )
                })
                .into(),
        },
        Sweep {
            name: "growth-bodies",
            title: "CPU per request by size of the body",
            axis: "bytes of the body",
            fit: Fit::Power,
            points: [0, 1 << 10, 16 << 10, 64 << 10, 1 << 20, 10 << 20, 100 << 20]
                .map(|bytes| plain(bytes as f64, body(bytes)))
                .into(),
        },
        Sweep {
            name: "growth-endpoints",
            title: "CPU per request by number of endpoints, round robin",
            axis: "endpoints",
            fit: Fit::Power,
            points: [1, 10, 100, 1000]
                .map(|n| {
                    let setup = Setup {
                        upstream: Upstream::Endpoints(n),
                        ..Setup::PLAIN
                    };
                    point(
                        f64::from(n),
                        setup,
                        Load {
                            length: None,
                            ..Load::small()
                        },
                    )
                })
                .into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_goals_are_below_what_must_hold() {
        let all = catalogue();
        let mut names: Vec<_> = all.iter().map(|scenario| scenario.name.clone()).collect();
        names.extend(sweeps().iter().map(|sweep| sweep.name.to_owned()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        for scenario in &all {
            assert!(
                scenario.goals.iter().all(|goal| goal.goal <= goal.hold),
                "{}",
                scenario.name
            );
        }
        assert_eq!(
            all.iter()
                .filter(|scenario| !scenario.goals.is_empty())
                .count(),
            18
        );
    }

    #[test]
    fn outrigger_comes_with_what_it_is_held_against_in_scenarios_of_its_policy_only() {
        let candidates = [
            Candidate::Direct,
            Candidate::Outrigger("a".into()),
            Candidate::Haproxy("b".into()),
        ];
        for scenario in catalogue() {
            let rows = scenario.taking_part(&candidates);
            let names: Vec<_> = rows.iter().map(Candidate::name).collect();
            let reference = scenario.reference().candidate();
            if scenario.name.starts_with("policy") {
                assert_eq!(names, ["outrigger", "outrigger-bare", "haproxy"]);
                assert_eq!(rows[0].path(), rows[1].path());
                assert_eq!(reference, "outrigger-bare");
            } else {
                let proxies = names.strip_prefix(&["direct"]).unwrap_or(&names);
                assert_eq!(proxies, ["outrigger", "haproxy"], "{}", scenario.name);
                assert_eq!(reference, "haproxy", "{}", scenario.name);
            }
        }
        let last: Vec<_> = catalogue()
            .into_iter()
            .rev()
            .take(2)
            .map(|one| one.name)
            .collect();
        assert_eq!(last, ["policy-headers", "policy"]);
    }
}
