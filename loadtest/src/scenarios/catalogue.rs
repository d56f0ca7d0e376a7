//! The scenarios, what every proxy is told to do in them, and what Outrigger must show.

use std::time::Duration;

use http::Method;

/// One upstream, one load, one or more ways to be set up for it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub title: &'static str,
    /// The endpoints.
    pub endpoints: Vec<Simulated>,
    /// Requests per second.
    pub rate: f64,
    /// Their method.
    pub method: Method,
    /// Load before counting starts: time for a proxy to learn about its upstream.
    pub warmup: Duration,
    /// How the proxies are set up; each is measured.
    pub variants: Vec<Variant>,
    /// What Outrigger has to show here.
    pub musts: Vec<Must>,
}

/// One endpoint of a scenario.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Its name.
    pub name: &'static str,
    /// Its weight.
    pub weight: u32,
    /// What it does, in the words of the simulator.
    pub behaviour: &'static str,
}

/// One way to set the proxies up.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What tells it from the others; empty where there is only one.
    pub label: &'static str,
    /// The set-up.
    pub settings: Settings,
}

/// What every proxy is told to do, as far as it can.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How an endpoint is chosen.
    pub policy: Policy,
    /// Retries after the first try; 0 leaves retries out altogether.
    pub retries: u32,
    /// Statuses that are tried again.
    pub codes: Vec<u16>,
    /// Limit for one try.
    pub per_try: Duration,
    /// Limit for all tries together.
    pub request: Duration,
    /// Whether health checks and passive detection take endpoints out.
    pub health: bool,
    /// Whether a second try is sent before the first has failed.
    pub hedge: Option<Hedge>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// One after the other.
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

/// Something Outrigger has to show.
#[derive(Debug, Clone, Copy)]
pub struct Must {
    /// In which variant.
    pub variant: &'static str,
    /// What.
    pub claim: Claim,
}

/// What is held against a figure.
#[derive(Debug, Clone, Copy)]
pub enum Claim {
    /// At most this many times the offered load, and this much per second (one second of it may be in hand), reaches the upstream.
    Received {
        /// Times the offered load.
        times: f64,
        /// Requests per second on top.
        per_second: f64,
    },
    /// At least this percentage of requests succeeds.
    Success(f64),
    /// The time within which 99 of 100 requests were answered is at most so many times that of another measurement.
    P99 {
        /// How many times.
        times: f64,
        /// The other measurement.
        of: Reference,
    },
    /// At most so many times as many requests reach the upstream as in another measurement.
    Load {
        /// How many times.
        times: f64,
        /// The other measurement.
        of: Reference,
    },
    /// Each endpoint's share is its weight's, give or take this percentage of it.
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

/// What each request may take, seen from the client: longer than any proxy is allowed.
pub const CLIENT_LIMIT: Duration = Duration::from_secs(2);

const HEALTHY: Reference = Reference {
    scenario: "healthy",
    variant: "",
};
const USUAL_RATE: f64 = 500.0;
const USUAL_WARMUP: Duration = Duration::from_secs(3);

/// Time within which a proxy has to cope with an endpoint that hangs.
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

    /// The scenarios whose figures this one's are held against.
    pub(super) fn references(&self) -> impl Iterator<Item = &'static str> {
        self.musts.iter().filter_map(|must| match must.claim {
            Claim::P99 { of, .. } | Claim::Load { of, .. } => Some(of.scenario),
            _ => None,
        })
    }
}

/// What a good endpoint does.
const GOOD: &str = "latency=10ms";

/// All scenarios, in the order they are shown.
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
    Scenario::all("healthy", "Three endpoints that answer after 10 ms.", GOOD)
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
            "One in ten answers is a 503.",
            "latency=10ms fail=10%",
        )
        .must("", Claim::Success(99.9)),
        Scenario {
            rate: 1000.0,
            ..Scenario::all(
                "storm",
                "Every answer is a 503: a retry storm.",
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
            "One of three answers nothing but 503, and asks for a pause of a second.",
            "latency=10ms fail=100%:503 retry-after=1",
        ),
        Scenario::one(
            "limited",
            "One of three answers nothing but 429, and asks for a pause of a second.",
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
            "One of three accepts and never answers, health checks neither.",
            "hang=100% checks=same",
        ),
        hang(
            "hang-unseen",
            "One of three answers health checks and nothing else.",
            "hang=100%",
        ),
        Scenario::all(
            "reset",
            "One in twenty connections is reset before the answer.",
            resets,
        ),
        Scenario {
            method: Method::POST,
            ..Scenario::all(
                "reset-post",
                "The same with POST, which nobody may repeat.",
                resets,
            )
        }
        .must("", Claim::Once),
        Scenario::all(
            "reset-body",
            "One in twenty answers breaks off in the middle, where no proxy can help.",
            "latency=10ms reset=5%:body body=4k",
        ),
        Scenario::one(
            "dies",
            "One of three dies a second into the count and comes back three seconds later.",
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
