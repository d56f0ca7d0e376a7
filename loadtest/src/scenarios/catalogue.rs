//! The scenarios, the task of every proxy in them, and the requirements for Outrigger.

use std::time::Duration;

use http::Method;

/// One upstream, one load, one or more configurations.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    /// One sentence of description.
    pub title: &'static str,
    /// The endpoints.
    pub endpoints: Vec<Simulated>,
    /// Requests per second.
    pub rate: f64,
    /// Their method.
    pub method: Method,
    /// Duration of the warm-up: time for a proxy to learn about its upstream.
    pub warmup: Duration,
    /// The configurations of the proxies; each is measured.
    pub variants: Vec<Variant>,
    /// The requirements for Outrigger.
    pub musts: Vec<Must>,
}

/// One endpoint of a scenario.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Its name.
    pub name: &'static str,
    /// Its weight.
    pub weight: u32,
    /// Its behavior, in the syntax of the simulator.
    pub behaviour: &'static str,
}

/// A configuration of the proxies.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its label; empty if there is only one.
    pub label: &'static str,
    /// The task.
    pub settings: Settings,
}

/// The task of every proxy, as far as it supports it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How an endpoint is selected.
    pub policy: Policy,
    /// Retries after the first try; 0 disables retries.
    pub retries: u32,
    /// Statuses that are retried.
    pub codes: Vec<u16>,
    /// Timeout of one try.
    pub per_try: Duration,
    /// Timeout of all tries together.
    pub request: Duration,
    /// Whether health checks and passive detection are enabled.
    pub health: bool,
    /// Whether a second try is sent before the first has failed.
    pub hedge: Option<Hedge>,
}

/// How an endpoint is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Round robin.
    RoundRobin,
    /// The less busy of two.
    LeastRequest,
}

/// When a second try is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// The 95th percentile of the scenario's latency, for proxies that do not measure it.
    pub p95: Duration,
}

/// A requirement for Outrigger.
#[derive(Debug, Clone, Copy)]
pub struct Must {
    /// The variant.
    pub variant: &'static str,
    /// The claim.
    pub claim: Claim,
}

/// A claim about a figure.
#[derive(Debug, Clone, Copy)]
pub enum Claim {
    /// At most this many times the sent requests, plus this many per second (one second may be
    /// saved before), reach the upstream.
    Received {
        /// Times the sent requests.
        times: f64,
        /// Additional requests per second.
        per_second: f64,
    },
    /// At least this percentage of requests succeeds.
    Success(f64),
    /// The p99 latency is at most this many times that of another measurement.
    P99 {
        /// The factor.
        times: f64,
        /// The other measurement.
        of: Reference,
    },
    /// The number of requests that reach the upstream is at most this many times that of another
    /// measurement.
    Load {
        /// The factor.
        times: f64,
        /// The other measurement.
        of: Reference,
    },
    /// Each endpoint's share equals its weight, within this percentage.
    Shares(f64),
    /// No request reaches the upstream twice.
    Once,
}

/// Another measurement of the same proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Its scenario.
    pub scenario: &'static str,
    /// Its variant.
    pub variant: &'static str,
}

/// Client timeout of each request: longer than that of any proxy.
pub const CLIENT_LIMIT: Duration = Duration::from_secs(2);

const HEALTHY: Reference = Reference {
    scenario: "healthy",
    variant: "",
};
const USUAL_RATE: f64 = 500.0;
const USUAL_WARMUP: Duration = Duration::from_secs(3);

/// Time in which a proxy must handle an endpoint that hangs.
const TIME_TO_LEARN: Duration = Duration::from_secs(10);

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::LeastRequest,
            retries: 3,
            codes: vec![502, 503, 504],
            per_try: Duration::from_millis(300),
            request: Duration::from_millis(1500),
            health: true,
            hedge: None,
        }
    }
}

impl Scenario {
    fn new(name: &'static str, title: &'static str, endpoints: [&'static str; 3]) -> Self {
        let named = ["a", "b", "c"].into_iter().zip(endpoints);
        Self {
            name,
            title,
            endpoints: named
                .map(|(name, behaviour)| Simulated {
                    name,
                    weight: 1,
                    behaviour,
                })
                .collect(),
            rate: USUAL_RATE,
            method: Method::GET,
            warmup: USUAL_WARMUP,
            variants: vec![Variant {
                label: "",
                settings: Settings::default(),
            }],
            musts: Vec::new(),
        }
    }

    fn all(name: &'static str, title: &'static str, behaviour: &'static str) -> Self {
        Self::new(name, title, [behaviour; 3])
    }

    fn one(name: &'static str, title: &'static str, behaviour: &'static str) -> Self {
        Self::new(name, title, [GOOD, GOOD, behaviour])
    }

    fn must(mut self, variant: &'static str, claim: Claim) -> Self {
        self.musts.push(Must { variant, claim });
        self
    }

    fn variants(mut self, variants: [(&'static str, Settings); 2]) -> Self {
        self.variants = variants
            .map(|(label, settings)| Variant { label, settings })
            .into();
        self
    }

    fn set(mut self, change: impl Fn(&mut Settings)) -> Self {
        self.variants
            .iter_mut()
            .for_each(|variant| change(&mut variant.settings));
        self
    }

    /// The reference scenarios of this one.
    pub(super) fn references(&self) -> impl Iterator<Item = &'static str> {
        self.musts.iter().filter_map(|must| match must.claim {
            Claim::P99 { of, .. } | Claim::Load { of, .. } => Some(of.scenario),
            _ => None,
        })
    }
}

/// The behavior of a healthy endpoint.
const GOOD: &str = "latency=10ms";

/// All scenarios, in the order of the report.
#[must_use]
pub fn catalogue() -> Vec<Scenario> {
    let mut all = vec![healthy()];
    all.extend(slow_ones());
    all.extend(failing_ones());
    all.extend(breaking_ones());
    all.push(weights());
    all
}

fn healthy() -> Scenario {
    Scenario::all("healthy", "Three endpoints that respond after 10 ms.", GOOD)
}

fn slow_ones() -> Vec<Scenario> {
    let with = |policy| Settings {
        policy,
        retries: 0,
        per_try: Duration::from_millis(1500),
        health: false,
        ..Settings::default()
    };
    let patient = Settings {
        per_try: Duration::from_millis(1500),
        retries: 1,
        ..Settings::default()
    };
    // 0.05^(-1/1.1) times the shortest.
    let hedge = Some(Hedge {
        p95: Duration::from_millis(76),
    });
    let tail = Reference {
        scenario: "heavy-tail",
        variant: "no hedge",
    };
    let turns = Reference {
        scenario: "overloaded",
        variant: "roundRobin",
    };
    vec![
        Scenario::one("slow", "One of three takes 100 ms instead of 10 ms.", "latency=100ms"),
        Scenario::one(
            "overloaded",
            "One of three takes 100 ms and serves 16 at a time, a little less than its third of the load. No retries \
             and no health checks: balancing alone.",
            "latency=100ms slots=16",
        )
        .variants([("roundRobin", with(Policy::RoundRobin)), ("leastRequest", with(Policy::LeastRequest))])
        .must("leastRequest", Claim::P99 { times: 1.0, of: turns }),
        Scenario::all(
            "heavy-tail",
            "Latencies with a heavy tail (Pareto from 5 ms, exponent 1.1): one in twenty takes 76 ms or more, one in \
             a hundred 330 ms.",
            "latency=pareto:5ms:1.1:900ms",
        )
        .variants([("no hedge", patient.clone()), ("hedge", Settings { hedge, ..patient })])
        .must("hedge", Claim::P99 { times: 0.5, of: tail })
        .must("hedge", Claim::Load { times: 1.05, of: tail }),
        Scenario::all("drip", "10 KiB in ten pieces, 20 ms apart.", "latency=10ms drip=10:20ms body=10k"),
    ]
}

fn failing_ones() -> Vec<Scenario> {
    vec![
        Scenario::all(
            "failing-10",
            "One in ten responses is a 503.",
            "latency=10ms fail=10%",
        )
        .must("", Claim::Success(99.9)),
        Scenario {
            rate: 1000.0,
            ..Scenario::all(
                "storm",
                "Every response is a 503: a retry storm.",
                "latency=10ms fail=100%",
            )
        }
        .must(
            "",
            Claim::Received {
                times: 1.2,
                per_second: 10.0,
            },
        ),
        Scenario::one(
            "retry-after",
            "One of three always returns 503, with Retry-After 1 s.",
            "latency=10ms fail=100%:503 retry-after=1",
        ),
        Scenario::one(
            "limited",
            "One of three always returns 429, with Retry-After 1 s.",
            "latency=10ms fail=100%:429 retry-after=1",
        )
        .set(|settings| settings.codes.insert(0, 429)),
    ]
}

fn breaking_ones() -> Vec<Scenario> {
    let hang = |name, title, behaviour| {
        Scenario {
            warmup: TIME_TO_LEARN,
            ..Scenario::one(name, title, behaviour)
        }
        .must(
            "",
            Claim::P99 {
                times: 2.0,
                of: HEALTHY,
            },
        )
    };
    let resets = "latency=10ms reset=5%:head";
    vec![
        hang(
            "hang",
            "One of three accepts connections and never responds, not even to health checks.",
            "hang=100% checks=same",
        ),
        hang(
            "hang-unseen",
            "One of three responds only to health checks.",
            "hang=100%",
        ),
        Scenario::all(
            "reset",
            "One in twenty connections is reset before the response.",
            resets,
        ),
        Scenario {
            method: Method::POST,
            ..Scenario::all(
                "reset-post",
                "The same with POST, which must not be retried.",
                resets,
            )
        }
        .must("", Claim::Once),
        Scenario::all(
            "reset-body",
            "One in twenty responses breaks off in the middle, where no proxy can retry.",
            "latency=10ms reset=5%:body body=4k",
        ),
        Scenario::one(
            "dies",
            "One of three dies 1 s after the start of the measurement and returns 3 s later.",
            "latency=10ms down=4s..7s",
        ),
    ]
}

fn weights() -> Scenario {
    let with = |policy| Settings {
        policy,
        ..Settings::default()
    };
    let mut scenario = Scenario::all("weights", "Weights 3, 1 and 1.", "latency=5ms")
        .variants([
            ("roundRobin", with(Policy::RoundRobin)),
            ("leastRequest", with(Policy::LeastRequest)),
        ])
        .must("roundRobin", Claim::Shares(2.0))
        .must("leastRequest", Claim::Shares(2.0));
    scenario.endpoints[0].weight = 3;
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Behaviour;

    #[test]
    fn every_behaviour_can_be_read_and_every_reference_is_found() {
        let all = catalogue();
        for scenario in &all {
            for endpoint in &scenario.endpoints {
                endpoint.behaviour.parse::<Behaviour>().unwrap();
            }
            for must in &scenario.musts {
                assert!(
                    scenario
                        .variants
                        .iter()
                        .any(|variant| variant.label == must.variant),
                    "{must:?}"
                );
                if let Claim::P99 { of, .. } | Claim::Load { of, .. } = must.claim {
                    let found = all.iter().find(|other| other.name == of.scenario).unwrap();
                    assert!(
                        found
                            .variants
                            .iter()
                            .any(|variant| variant.label == of.variant),
                        "{of:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_client_waits_longer_than_any_proxy_may_take() {
        for variant in catalogue().iter().flat_map(|scenario| &scenario.variants) {
            assert!(variant.settings.per_try <= variant.settings.request);
            assert!(variant.settings.request < CLIENT_LIMIT);
        }
    }
}
