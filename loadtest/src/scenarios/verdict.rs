//! Evaluation of the requirements for Outrigger.

use super::catalogue::{Claim, Reference, Scenario};
use super::figures::Figures;

/// The verdict on a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The figures confirm it.
    Held(String),
    /// The figures contradict it.
    Missed(String),
    /// There are no figures.
    NotShown(String),
}

impl Verdict {
    fn of(holds: bool, text: String) -> Self {
        if holds {
            Self::Held(text)
        } else {
            Self::Missed(text)
        }
    }

    /// Whether the claim is confirmed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// The verdict with its figures.
    #[must_use]
    pub fn text(&self) -> String {
        let (word, text) = match self {
            Self::Held(text) => ("held", text),
            Self::Missed(text) => ("MISSED", text),
            Self::NotShown(text) => ("NOT SHOWN", text),
        };
        format!("{word}: {text}")
    }
}

/// Compares a claim with the figures of its own measurement; `other` finds those of another.
pub(super) fn judge<'a>(
    claim: Claim,
    scenario: &Scenario,
    figures: Option<&Figures>,
    other: impl Fn(Reference) -> Option<&'a Figures>,
) -> Verdict {
    let Some(figures) = figures else {
        return Verdict::NotShown("no figures of Outrigger".to_owned());
    };
    match claim {
        Claim::Received { times, per_second } => {
            // An allowance per second may be saved for one second when the load starts.
            let allowed = times * figures.offered() as f64 + per_second * (figures.seconds() + 1.0);
            let received = figures.received();
            let text = format!(
                "{received} received for {} sent, {allowed:.0} allowed",
                figures.offered()
            );
            Verdict::of(received as f64 <= allowed, text)
        }
        Claim::Success(percent) => {
            let success = figures.success();
            Verdict::of(
                success >= percent,
                format!("{success:.3} % succeed, {percent} % required"),
            )
        }
        Claim::P99 { times, of } => {
            let time = |figures: &Figures| figures.latency(99.0).unwrap_or(f64::INFINITY);
            against(of, other(of).map(time), time(figures), times, "p99 in ms")
        }
        Claim::Load { times, of } => against(
            of,
            other(of).map(Figures::attempts),
            figures.attempts(),
            times,
            "received / sent",
        ),
        Claim::Shares(percent) => shares(percent, scenario, figures),
        Claim::Once => {
            let most = figures.most();
            Verdict::of(
                most == 1,
                format!("the most repeated request was received {most} times"),
            )
        }
    }
}

/// Figures are infinite when too few requests had a response; such figures cannot be a reference.
fn against(of: Reference, reference: Option<f64>, found: f64, times: f64, what: &str) -> Verdict {
    let place = match of.variant {
        "" => of.scenario.to_owned(),
        variant => format!("{}, {variant}", of.scenario),
    };
    match reference {
        None => Verdict::NotShown(format!("no figures of {place}")),
        Some(_) if found.is_infinite() => {
            Verdict::Missed(format!("{what}: too few requests had a response"))
        }
        Some(reference) if reference.is_infinite() => {
            Verdict::NotShown(format!("{what}: {place} has none"))
        }
        Some(reference) => {
            let ratio = found / reference;
            let text = format!(
                "{what}: {found:.2} is {ratio:.2} × the {reference:.2} of {place}; {times} × allowed"
            );
            Verdict::of(found <= times * reference, text)
        }
    }
}

fn shares(percent: f64, scenario: &Scenario, figures: &Figures) -> Verdict {
    let weights = scenario
        .endpoints
        .iter()
        .map(|endpoint| f64::from(endpoint.weight));
    let sum: f64 = weights.clone().sum();
    let off = |(share, weight): (f64, f64)| (share / (weight * 100.0 / sum) - 1.0).abs() * 100.0;
    let worst = figures
        .shares()
        .into_iter()
        .zip(weights)
        .map(off)
        .fold(0.0, f64::max);
    Verdict::of(
        worst <= percent,
        format!("the worst share is off by {worst:.2} %, {percent} % allowed"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::catalogue;
    use super::super::measure::Measured;
    use super::*;
    use crate::load::{self, Plan};
    use crate::origin::Origin;
    use crate::simulator::{Attempts, Counts, Received};

    /// 100 requests sent in one second, with this many failures, this many received by each
    /// endpoint, all within this many milliseconds.
    async fn figures(failed: u64, received: [u64; 3], most: u64, millis: u64) -> Figures {
        let origin = Origin::start().await.unwrap();
        let mut report = load::run(Plan {
            requests: Some(1),
            ..Plan::new(origin.url("/"))
        })
        .await
        .unwrap();
        (report.requests, report.passed) = (100, 100 - failed);
        report.latency.reset();
        report
            .latency
            .record_n(millis * 1_000_000, 100 - failed)
            .unwrap();
        let endpoint = |requests| {
            (
                String::new(),
                Received {
                    requests,
                    ..Received::default()
                },
            )
        };
        let attempts = Attempts {
            most,
            ..Attempts::default()
        };
        let counts = Counts {
            endpoints: received.map(endpoint).into(),
            attempts,
        };
        Figures::new(vec![Measured {
            report,
            counts,
            offered: 100,
            seconds: 1.0,
        }])
        .unwrap()
    }

    #[tokio::test]
    async fn each_claim_is_held_up_to_its_limit_and_missed_beyond() {
        let of = Reference {
            scenario: "healthy",
            variant: "",
        };
        let weighted = catalogue().pop().unwrap();
        let reference = figures(0, [60, 20, 20], 1, 10).await;
        for (claim, good, bad) in [
            (
                Claim::Received {
                    times: 1.2,
                    per_second: 10.0,
                },
                figures(0, [140, 0, 0], 1, 1).await,
                figures(0, [141, 0, 0], 1, 1).await,
            ),
            (
                Claim::Success(99.0),
                figures(1, [1, 1, 1], 1, 1).await,
                figures(2, [1, 1, 1], 1, 1).await,
            ),
            (
                Claim::P99 { times: 2.0, of },
                figures(0, [1, 1, 1], 1, 19).await,
                figures(0, [1, 1, 1], 1, 21).await,
            ),
            (
                Claim::Load { times: 1.05, of },
                figures(0, [35, 35, 35], 1, 1).await,
                figures(0, [36, 35, 35], 1, 1).await,
            ),
            (
                Claim::Shares(2.0),
                figures(0, [6_000, 2_039, 1_961], 1, 1).await,
                figures(0, [6_000, 2_041, 1_959], 1, 1).await,
            ),
            (
                Claim::Once,
                figures(0, [1, 1, 1], 1, 1).await,
                figures(0, [1, 1, 1], 2, 1).await,
            ),
        ] {
            let verdict = |figures| judge(claim, &weighted, figures, |_| Some(&reference));
            assert!(verdict(Some(&good)).is_held(), "{:?}", verdict(Some(&good)));
            assert!(
                matches!(verdict(Some(&bad)), Verdict::Missed(_)),
                "{:?}",
                verdict(Some(&bad))
            );
            assert!(matches!(verdict(None), Verdict::NotShown(_)));
        }
        let claim = Claim::P99 { times: 2.0, of };
        let failing = figures(2, [1, 1, 1], 1, 1).await;
        assert!(matches!(
            judge(claim, &weighted, Some(&failing), |_| Some(&reference)),
            Verdict::Missed(_)
        ));
        let verdict = judge(claim, &weighted, Some(&reference), |_| Some(&failing));
        assert!(matches!(verdict, Verdict::NotShown(_)), "{verdict:?}");
        let alone = judge(claim, &weighted, Some(&reference), |_| None);
        assert!(matches!(alone, Verdict::NotShown(_)), "{alone:?}");
    }
}
