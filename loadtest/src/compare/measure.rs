//! One scenario: every candidate is started, verified, warmed up, and measured in turn, round by
//! round. With `--at-once`, and when a program is compared with itself, all are restarted for each
//! round and measured at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::catalogue::{Reference, Scenario};
use super::check::{Asked, came_through};
use super::configure::{Listen, Upstream};
use super::figures::{Figures, Missing, Outcome, Round, Row};
use super::load::{finish, spawn};
use super::stage::{Behind, Stage, Started};
use super::usage::{CpuTicks, CpuTime, resident};
use crate::candidate::Candidate;

/// Load before the first round, which is not recorded.
const WARM_UP: Duration = Duration::from_secs(1);

/// Pause after the start of the candidates, before their idle memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Grace period after which a load is aborted.
const GRACE: Duration = Duration::from_secs(60);

/// With this many connections, opening them is a part of the work that must not be counted: see
/// [`Steady`].
const MANY_CONNECTIONS: usize = 1000;

/// Maximum time for opening them.
const OPENING_MANY: Duration = Duration::from_secs(5);

/// Maximum time for the handshakes of keep-alive connections, which must not be counted either.
const OPENING_TLS: Duration = Duration::from_millis(400);

/// Times of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) rounds: usize,
    pub(super) duration: Duration,
    pub(super) at_once: bool,
}

/// A candidate that takes part.
struct Ready<'a> {
    candidate: &'a Candidate,
    started: Option<Started>,
    figures: Figures,
}

/// Measures a scenario.
pub(super) async fn scenario(
    stage: &Stage,
    scenario: &Scenario,
    candidates: &[Candidate],
    times: Times,
    place: &str,
) -> Outcome {
    let candidates = scenario.taking_part(candidates);
    let behind = match stage.behind(&scenario.setup).await {
        Ok(behind) => behind,
        Err(problem) => {
            let row = |candidate: &Candidate| Row {
                candidate: candidate.name(),
                figures: Err(Missing::NotRun(problem.clone())),
            };
            return Outcome {
                scenario: scenario.clone(),
                rows: candidates.iter().map(row).collect(),
            };
        }
    };
    let bench = Bench {
        stage,
        scenario,
        behind: &behind,
        times,
        place,
    };
    let rows = match times.at_once || scenario.reference() == Reference::Bare {
        true => bench.at_once(&candidates).await,
        false => bench.in_turn(&candidates).await,
    };
    Outcome {
        scenario: scenario.clone(),
        rows,
    }
}

struct Bench<'a> {
    stage: &'a Stage,
    scenario: &'a Scenario,
    behind: &'a Behind<'a>,
    times: Times,
    place: &'a str,
}

impl Bench<'_> {
    /// All rounds with the same processes, one candidate after the other in each.
    async fn in_turn(&self, candidates: &[Candidate]) -> Vec<Row> {
        let mut all = self.warm(candidates).await;
        for _ in 0..self.times.rounds {
            for (_, ready) in &mut all {
                let measured = match ready {
                    Ok(ready) => self.round(ready).await,
                    Err(_) => Ok(()),
                };
                if let Err(missing) = measured {
                    *ready = Err(missing);
                }
            }
        }
        let row = |(candidate, ready): (_, Result<Ready<'_>, Missing>)| Row {
            candidate,
            figures: ready.map(|ready| ready.figures),
        };
        all.into_iter().map(row).collect()
    }

    /// New processes for each round, in which all candidates are under load at the same time.
    ///
    /// Differences of a few percent are invisible between candidates that are measured in turn,
    /// because a busy machine varies by more than that from one second to the next. Measured at the
    /// same time, the noise affects both. Each process has a different memory layout, which matters
    /// too, so every round has new processes.
    async fn at_once(&self, candidates: &[Candidate]) -> Vec<Row> {
        let figures = |candidate: &Candidate| Row {
            candidate: candidate.name(),
            figures: Ok(Figures::default()),
        };
        let mut rows: Vec<_> = candidates.iter().map(figures).collect();
        for _ in 0..self.times.rounds {
            // A candidate without figures is left out of later rounds, so that it takes no CPU from
            // the others.
            let (left, mut going): (Vec<_>, Vec<_>) = candidates
                .iter()
                .cloned()
                .zip(&mut rows)
                .filter(|(_, row)| row.figures.is_ok())
                .unzip();
            let all = self.warm(&left).await;
            for (row, measured) in going.iter_mut().zip(self.together(all).await) {
                let Ok(figures) = &mut row.figures else {
                    continue;
                };
                match measured {
                    Ok(one) => {
                        figures.rounds.extend(one.rounds);
                        figures.idle = figures.idle.or(one.idle);
                    }
                    Err(missing) => row.figures = Err(missing),
                }
            }
        }
        rows
    }

    /// One round of all at the same time.
    async fn together(
        &self,
        all: Vec<(&'static str, Result<Ready<'_>, Missing>)>,
    ) -> Vec<Result<Figures, Missing>> {
        let before = self.stage.received(self.behind).await;
        let rounds = all.into_iter().map(async |(_, ready)| {
            let mut ready = ready?;
            self.round(&mut ready).await?;
            Ok(ready.figures)
        });
        let measured = join_all(rounds).await;
        // In each round the origin also receives the requests of the other candidates; only the sum
        // can be verified.
        let came = async {
            let requests = measured
                .iter()
                .flatten()
                .flat_map(|one| &one.rounds)
                .map(|round| round.requests)
                .sum();
            let received = self.stage.received(self.behind).await? - before?;
            came_through(&self.scenario.load, requests, received)?;
            self.repeated(requests, received)
        };
        match came.await {
            Ok(()) => measured,
            Err(wrong) => measured
                .into_iter()
                .map(|one| one.and_then(|_| Err(Missing::Wrong(wrong.clone()))))
                .collect(),
        }
    }

    /// Starts, verifies and warms up all candidates.
    async fn warm<'a>(
        &self,
        candidates: &'a [Candidate],
    ) -> Vec<(&'static str, Result<Ready<'a>, Missing>)> {
        let mut all = Vec::new();
        for candidate in candidates {
            all.push((candidate.name(), self.ready(candidate).await));
        }
        sleep(SETTLE).await;
        for (_, ready) in &mut all {
            let warmed = match ready {
                Ok(ready) => self.warm_up(ready).await,
                Err(_) => Ok(()),
            };
            if let Err(missing) = warmed {
                *ready = Err(missing);
            }
        }
        all
    }

    /// Starts and verifies a candidate.
    async fn ready<'a>(&self, candidate: &'a Candidate) -> Result<Ready<'a>, Missing> {
        let started = match candidate {
            Candidate::Direct => None,
            _ => {
                let setup = &self.scenario.setup;
                Some(
                    self.stage
                        .start(candidate, setup, self.behind, self.place)
                        .await?,
                )
            }
        };
        let ready = Ready {
            candidate,
            started,
            figures: Figures::default(),
        };
        self.asked(&ready)?.check().await?;
        Ok(ready)
    }

    fn asked(&self, ready: &Ready<'_>) -> Result<Asked<'_>, Missing> {
        let origin = self
            .stage
            .reached(self.behind, &self.scenario.setup, ready.candidate);
        let address = match &ready.started {
            Some(started) => started.address,
            None => *self
                .behind
                .addresses()
                .first()
                .ok_or(Missing::Unable("no origin is available"))?,
        };
        Ok(Asked {
            stage: self.stage,
            scenario: self.scenario,
            address,
            origin,
        })
    }

    async fn warm_up(&self, ready: &mut Ready<'_>) -> Result<(), Missing> {
        ready.figures.idle = ready
            .started
            .as_ref()
            .map(|started| resident(started.process.group()) as f64);
        let before = CpuTime::default();
        self.load(ready, WARM_UP.min(self.times.duration), before)
            .await
            .map(|_| ())
    }

    async fn round(&self, ready: &mut Ready<'_>) -> Result<(), Missing> {
        let before = ready
            .started
            .as_ref()
            .map(|started| CpuTime::of(started.process.group()));
        let round = self
            .load(ready, self.times.duration, before.unwrap_or_default())
            .await?;
        ready.figures.rounds.push(round);
        Ok(())
    }

    /// One load and the resources used meanwhile; an error when a single request failed or was
    /// wrong.
    async fn load(
        &self,
        ready: &mut Ready<'_>,
        time: Duration,
        before: CpuTime,
    ) -> Result<Round, Missing> {
        let asked = self.asked(ready)?;
        let load = &self.scenario.load;
        let wrong = Missing::Wrong;
        let group = ready
            .started
            .as_ref()
            .map(|started| started.process.group());
        let kept = load.handshakes.is_none() && !load.fresh;
        let warm_up = match self.scenario.setup.listen {
            _ if kept && load.connections >= MANY_CONNECTIONS => OPENING_MANY,
            Listen::Tls | Listen::Mtls if kept => OPENING_TLS,
            _ => Duration::ZERO,
        };
        let mut words = load.arguments(&self.scenario.setup, asked.address, &self.stage.material);
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        words.extend([
            "--duration".to_owned(),
            millis(time),
            "--warmup".to_owned(),
            millis(warm_up),
        ]);
        let received = asked.origin.received().await.map_err(wrong)?;
        let ticks = CpuTicks::of(self.stage.cpus.proxy);
        let child = spawn(&self.stage.program, &words).map_err(Missing::NotRun)?;
        let limit = warm_up + time + GRACE;
        let watched = async {
            let mut steady = None;
            if let (true, Some(group)) = (warm_up > Duration::ZERO, group) {
                sleep(warm_up + time.mul_f64(0.1)).await;
                let from = Steady::now(&asked, group).await?;
                sleep(time.mul_f64(0.8)).await;
                steady = Some((from, Steady::now(&asked, group).await?));
            } else {
                sleep(time.mul_f64(0.7)).await;
            }
            Ok::<_, String>((steady, group.map(resident)))
        };
        let (ran, watched) = tokio::join!(finish(child, limit), watched);
        let (ran, (steady, memory)) = (ran.map_err(Missing::NotRun)?, watched.map_err(wrong)?);
        let spent = group.map(|group| CpuTime::of(group).since(before));
        let (busy, steal) = CpuTicks::of(self.stage.cpus.proxy).since(ticks);
        if let Some(started) = &mut ready.started {
            started.process.is_alive().map_err(wrong)?;
        }
        if let Some(trouble) = ran.trouble {
            return Err(wrong(trouble));
        }
        asked.is_true(&ran, load.connections).map_err(wrong)?;
        let received = asked.origin.received().await.map_err(wrong)? - received;
        came_through(load, ran.requests, received).map_err(wrong)?;
        self.repeated(ran.requests, received).map_err(wrong)?;
        let cpu = match steady {
            Some((from, to)) => {
                let nothing =
                    || wrong("the origin received nothing during the measurement".to_owned());
                Some(to.per_request(from).ok_or_else(nothing)?)
            }
            None => spent.map(|spent| spent.micros / ran.requests.max(1.0)),
        };
        Ok(Round {
            requests: ran.requests,
            rate: ran.rate,
            cpu,
            user: cpu.zip(spent).map(|(cpu, spent)| cpu * spent.user),
            latency: ran.latency,
            resident: memory.map(|kib| kib as f64),
            busy,
            steal,
        })
    }

    /// Where endpoints fail, zero failures could also mean that the failing one was not used: 10 %
    /// of the requests must arrive twice.
    fn repeated(&self, requests: f64, received: f64) -> Result<(), String> {
        if self.scenario.setup.upstream == Upstream::Failing && received < requests * 1.05 {
            return Err(format!(
                "{received} requests reached the endpoints for {requests}: too few were retried"
            ));
        }
        Ok(())
    }
}

/// A point in time during a load: the resources used by the proxy and the requests received by the
/// origin until then.
#[derive(Debug, Clone, Copy)]
struct Steady {
    cpu: CpuTime,
    received: f64,
}

impl Steady {
    async fn now(asked: &Asked<'_>, group: u32) -> Result<Self, String> {
        let received = asked.origin.received().await?;
        Ok(Self {
            cpu: CpuTime::of(group),
            received,
        })
    }

    fn per_request(self, from: Self) -> Option<f64> {
        let requests = self.received - from.received;
        (requests > 0.0).then(|| self.cpu.since(from.cpu).micros / requests)
    }
}
