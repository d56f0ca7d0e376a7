//! One measurement: a new simulator, a new proxy, one load; then a check whether its figures are
//! valid.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::catalogue::{CLIENT_LIMIT, Scenario, Variant};
use super::configure::{Wanted, configuration};
use crate::candidate::Candidate;
use crate::load::{self, Expect, Plan, PlanError, Report};
use crate::process::{Process, free_port};
use crate::simulator::{Behaviour, Counts, Simulator, Spec};

/// Connections of the load: more than rate times timeout, except in a storm.
const CONNECTIONS: usize = 900;

/// The generator was too late when half of all requests started later than this.
const LATEST: Duration = Duration::from_millis(20);

/// Distance between the request numbers of loads to different endpoints.
const ID_SPACE: u64 = 1 << 40;

/// The result of one measurement.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The load's side.
    pub report: Report,
    /// The upstream's side.
    pub counts: Counts,
    /// Requests the load sent, its warm-up included.
    pub offered: u64,
    /// Duration, including the warm-up.
    pub seconds: f64,
}

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The candidate does not support the scenario.
    Unable,
    /// It could not be run.
    NotRun(String),
    /// It ran, but its figures cannot be verified.
    Unverified(Vec<String>),
}

/// The position of a measurement among all.
pub(super) struct Place<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) variant: &'a Variant,
    pub(super) without: &'a [String],
    pub(super) folder: &'a Path,
    pub(super) round: usize,
    pub(super) duration: Duration,
}

/// Executes one measurement.
pub(super) async fn measure(candidate: &Candidate, place: &Place<'_>) -> Result<Measured, Missing> {
    let not_run = |error: io::Error| Missing::NotRun(error.to_string());
    // The same seed for all candidates of a round.
    let simulator = Simulator::start(specs(place.scenario), 0, place.round as u64)
        .await
        .map_err(not_run)?;
    let endpoints: Vec<_> = simulator
        .endpoints()
        .into_iter()
        .map(|(_, address)| address)
        .collect();
    let port = free_port().map_err(not_run)?;
    let (scenario, settings) = (place.scenario, &place.variant.settings);
    let wanted = Wanted {
        scenario,
        settings,
        port,
        without: place.without,
        endpoints: &endpoints,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut proxy = match configuration(candidate, &wanted) {
        Some((name, text)) => {
            let log = format!("round-{}.log", place.round);
            let started = candidate.spawn(place.folder, (name, &text), &log);
            let mut proxy = started.map_err(Missing::NotRun)?;
            proxy.listens(address).await.map_err(Missing::NotRun)?;
            Some(proxy)
        }
        None if *candidate == Candidate::Direct => None,
        None => return Err(Missing::Unable),
    };
    simulator.reset();
    let targets = if proxy.is_some() {
        vec![address]
    } else {
        endpoints
    };
    let plans = targets.iter().enumerate().map(|(index, target)| {
        let part = targets.len();
        Plan {
            connections: CONNECTIONS / part,
            rate: Some(scenario.rate / part as f64),
            first_id: Some(index as u64 * ID_SPACE),
            ..plan(place, &target.to_string())
        }
    });
    let report = run_all(plans)
        .await
        .map_err(|error| Missing::NotRun(error.to_string()))?;
    let alive = proxy.as_mut().map_or(Ok(()), Process::is_alive);
    drop(proxy);
    let counts = simulator.counts();
    simulator.stop().await.map_err(not_run)?;
    let seconds = (place.duration + scenario.warmup).as_secs_f64();
    let offered = report.requests + report.warmup_requests;
    let measured = Measured {
        report,
        counts,
        offered,
        seconds,
    };
    let mut doubts = measured.doubts(scenario.rate);
    doubts.extend(alive.err());
    if doubts.is_empty() {
        Ok(measured)
    } else {
        Err(Missing::Unverified(doubts))
    }
}

fn specs(scenario: &Scenario) -> Vec<Spec> {
    let spec = |endpoint: &super::catalogue::Simulated| Spec {
        name: endpoint.name.to_owned(),
        port: 0,
        behaviour: endpoint
            .behaviour
            .parse()
            .expect("the catalogue's tests read every behaviour"),
    };
    scenario.endpoints.iter().map(spec).collect()
}

/// The load, except for what differs when it is spread over several targets.
fn plan(place: &Place, target: &str) -> Plan {
    let behaviour: Option<Behaviour> = place
        .scenario
        .endpoints
        .first()
        .and_then(|endpoint| endpoint.behaviour.parse().ok());
    Plan {
        duration: Some(place.duration),
        warmup: place.scenario.warmup,
        method: place.scenario.method.clone(),
        // A request that arrives twice was repeated by the proxy.
        retry_stale: false,
        timeout: CLIENT_LIMIT,
        expect: Expect {
            length: behaviour.map(|behaviour| behaviour.body),
            same: true,
            ..Expect::default()
        },
        ..Plan::new(format!("http://{target}/"))
    }
}

/// All loads at the same time, merged.
async fn run_all(plans: impl Iterator<Item = Plan>) -> Result<Report, PlanError> {
    let mut running = Vec::new();
    for plan in plans {
        running.push(load::start(plan)?);
    }
    let mut sum = None::<Report>;
    for run in running {
        let report = run.finish().await;
        match &mut sum {
            Some(sum) => sum.absorb(report),
            None => sum = Some(report),
        }
    }
    sum.ok_or(PlanError::NotPositive("targets"))
}

impl Measured {
    /// Reasons why these figures are not valid.
    fn doubts(&self, rate: f64) -> Vec<String> {
        let (report, attempts) = (&self.report, &self.counts.attempts);
        let due = rate * self.seconds;
        let lag = Duration::from_nanos(report.send_lag.value_at_quantile(0.5));
        [
            ((self.offered as f64 - due).abs() > due / 100.0 + 3.0)
                .then(|| format!("{} requests were sent, {due:.0} were due", self.offered)),
            (lag > LATEST).then(|| {
                format!("the generator was late: half of its requests by {lag:?} or more")
            }),
            (attempts.unnumbered > 0).then(|| {
                format!(
                    "{} requests arrived without their number",
                    attempts.unnumbered
                )
            }),
            (attempts.distinct > self.offered).then(|| {
                format!(
                    "{} different requests arrived, {} were sent",
                    attempts.distinct, self.offered
                )
            }),
            (report.passed > attempts.answered).then(|| {
                format!(
                    "{} successful responses, but the upstream sent {}",
                    report.passed, attempts.answered
                )
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Attempts;

    /// The expected result of a run of 1 s at ten requests per second.
    async fn measured() -> Measured {
        let origin = crate::origin::Origin::start().await.unwrap();
        let plan = Plan {
            rate: Some(100.0),
            requests: Some(10),
            ..Plan::new(origin.url("/"))
        };
        let report = load::run(plan).await.unwrap();
        assert_eq!(report.passed, 10, "{report:?}");
        let attempts = Attempts {
            distinct: 10,
            total: 12,
            most: 2,
            repeated: 2,
            answered: 10,
            unnumbered: 0,
        };
        let counts = Counts {
            endpoints: Vec::new(),
            attempts,
        };
        Measured {
            report,
            counts,
            offered: 10,
            seconds: 1.0,
        }
    }

    #[tokio::test]
    async fn figures_that_do_not_fit_together_are_doubted() {
        let sound = measured().await;
        let doubts = |change: fn(&mut Measured)| {
            let mut measured = sound.clone();
            measured.report.send_lag.reset();
            change(&mut measured);
            measured.doubts(10.0)
        };
        assert!(doubts(|_| ()).is_empty());
        for (change, word) in [
            (
                (|measured| measured.offered = 20) as fn(&mut Measured),
                "due",
            ),
            (
                |measured| measured.report.send_lag.record(1_000_000_000).unwrap(),
                "late",
            ),
            (|measured| measured.counts.attempts.unnumbered = 1, "number"),
            (
                |measured| measured.counts.attempts.distinct = 11,
                "different",
            ),
            (
                |measured| measured.counts.attempts.answered = 9,
                "successful responses",
            ),
        ] {
            let doubts = doubts(change);
            assert!(
                doubts.len() == 1 && doubts[0].contains(word),
                "{word}: {doubts:?}"
            );
        }
    }
}
