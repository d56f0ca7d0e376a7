//! Memory and CPU of an idle proxy, and its memory for idle connections.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{sleep, timeout};

use super::configure::{Listen, Setup};
use super::figures::Missing;
use super::load::{Load, finish, spawn};
use super::stage::{Behind, Stage};
use super::usage::{CpuTime, resident};
use crate::candidate::Candidate;

/// Pause before idle CPU is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// How long connections are held; their memory is read after a third of it.
const HOLD: Duration = Duration::from_secs(3);

/// Maximum time for opening them.
const OPENING_LIMIT: Duration = Duration::from_secs(120);

/// Kind of idle connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

/// All kinds.
pub const KINDS: [Kind; 3] = [Kind::Plain, Kind::Tls, Kind::Http2];

/// An idle candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Idle {
    /// The candidate's name.
    pub candidate: &'static str,
    /// Its figures.
    pub figures: Result<Rest, Missing>,
}

/// The resources of an idle process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rest {
    /// Resident memory, KiB.
    pub resident: f64,
    /// CPU time per second, in microseconds.
    pub cpu: f64,
}

/// A candidate with idle connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The candidate's name.
    pub candidate: &'static str,
    /// The kind of connections.
    pub kind: Kind,
    /// The result.
    pub figures: Result<Grown, Missing>,
}

/// Memory with and without idle connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grown {
    /// The number of connections.
    pub connections: usize,
    /// Resident memory without, KiB.
    pub idle: f64,
    /// Resident memory with, KiB.
    pub held: f64,
}

impl Kind {
    /// As text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1",
            Self::Tls => "HTTP/1.1 over TLS",
            Self::Http2 => "HTTP/2 over TLS",
        }
    }

    /// Outrigger's limit and goal, in KiB per connection.
    #[must_use]
    pub fn goal(self) -> Option<(f64, f64)> {
        match self {
            Self::Plain => Some((16.0, 4.0)),
            Self::Tls => Some((30.0, 16.0)),
            Self::Http2 => None,
        }
    }

    pub(super) fn setup(self) -> Setup {
        let listen = if self == Self::Plain {
            Listen::Plain
        } else {
            Listen::Tls
        };
        Setup {
            listen,
            ..Setup::PLAIN
        }
    }

    fn load(self, connections: usize) -> Load {
        Load {
            connections,
            streams: usize::from(self == Self::Http2),
            ..Load::small()
        }
    }
}

impl Grown {
    /// KiB for each connection.
    #[must_use]
    pub fn each(&self) -> f64 {
        (self.held - self.idle) / self.connections as f64
    }
}

/// All candidates idle, at the same time.
pub(super) async fn idle(stage: &Stage, candidates: &[Candidate], time: Duration) -> Vec<Idle> {
    let setup = Setup::PLAIN;
    let behind = match stage.behind(&setup).await {
        Ok(behind) => behind,
        Err(problem) => {
            let row = |candidate: &Candidate| Idle {
                candidate: candidate.name(),
                figures: Err(Missing::NotRun(problem.clone())),
            };
            return candidates.iter().map(row).collect();
        }
    };
    let mut running = Vec::new();
    for candidate in proxies(candidates) {
        running.push((
            candidate.name(),
            stage.start(candidate, &setup, &behind, "idle").await,
        ));
    }
    sleep(SETTLE).await;
    let spent = |started: &super::stage::Started| CpuTime::of(started.process.group());
    let before: Vec<_> = running
        .iter()
        .map(|(_, started)| started.as_ref().ok().map(spent))
        .collect();
    sleep(time).await;
    let rest = |((candidate, started), before): (
        (_, Result<super::stage::Started, _>),
        Option<CpuTime>,
    )| Idle {
        candidate,
        figures: started.map(|started| Rest {
            resident: resident(started.process.group()) as f64,
            cpu: spent(&started).since(before.unwrap_or_default()).micros / time.as_secs_f64(),
        }),
    };
    running.into_iter().zip(before).map(rest).collect()
}

/// All candidates that are proxies.
fn proxies(candidates: &[Candidate]) -> impl Iterator<Item = &Candidate> {
    candidates
        .iter()
        .filter(|candidate| **candidate != Candidate::Direct)
}

/// Each candidate with this number of idle connections of one kind.
pub(super) async fn held(
    stage: &Stage,
    candidates: &[Candidate],
    kind: Kind,
    connections: usize,
) -> Vec<Held> {
    let behind = stage.behind(&kind.setup()).await.map_err(Missing::NotRun);
    let mut rows = Vec::new();
    for candidate in proxies(candidates) {
        let figures = match &behind {
            Ok(behind) => hold(stage, candidate, behind, kind, connections).await,
            Err(missing) => Err(missing.clone()),
        };
        rows.push(Held {
            candidate: candidate.name(),
            kind,
            figures,
        });
    }
    rows
}

async fn hold(
    stage: &Stage,
    candidate: &Candidate,
    behind: &Behind<'_>,
    kind: Kind,
    connections: usize,
) -> Result<Grown, Missing> {
    let setup = kind.setup();
    let started = stage
        .start(candidate, &setup, behind, "connections")
        .await?;
    sleep(SETTLE / 2).await;
    let idle = resident(started.process.group()) as f64;
    let mut words =
        kind.load(connections)
            .arguments(&setup, started.address, Path::new(&stage.material));
    words.extend(["--hold".to_owned(), format!("{}s", HOLD.as_secs())]);
    let mut child = spawn(&stage.program, &words).map_err(Missing::NotRun)?;
    let errors = child
        .stderr
        .take()
        .ok_or_else(|| Missing::NotRun("the load has no output".to_owned()))?;
    let mut lines = BufReader::new(errors).lines();
    let wait = async {
        let mut last = "no output".to_owned();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("holding ") {
                return Ok(());
            }
            if !last.starts_with("error") {
                last = line;
            }
        }
        Err(last)
    };
    let holding = timeout(OPENING_LIMIT, wait)
        .await
        .unwrap_or_else(|_| Err("timeout".to_owned()));
    holding.map_err(|why| {
        Missing::Wrong(format!("{connections} connections cannot be held: {why}"))
    })?;
    sleep(HOLD / 3).await;
    let held = resident(started.process.group()) as f64;
    let ran = finish(child, HOLD + OPENING_LIMIT)
        .await
        .map_err(Missing::NotRun)?;
    match ran.trouble {
        Some(trouble) => Err(Missing::Wrong(trouble)),
        None => Ok(Grown {
            connections,
            idle,
            held,
        }),
    }
}

impl Idle {
    pub(super) fn to_json(&self) -> Value {
        match &self.figures {
            Ok(rest) => json!({
                "candidate": self.candidate, "rss_idle_kib": rest.resident, "idle_cpu_us_per_s": rest.cpu,
            }),
            Err(missing) => json!({ "candidate": self.candidate, "missing": missing.text() }),
        }
    }
}

impl Held {
    pub(super) fn to_json(&self) -> Value {
        let (candidate, kind) = (self.candidate, self.kind.name());
        match &self.figures {
            Ok(grown) => json!({
                "candidate": candidate, "kind": kind, "connections": grown.connections, "rss_idle_kib": grown.idle,
                "rss_held_kib": grown.held, "kib_per_connection": grown.each(),
            }),
            Err(missing) => {
                json!({ "candidate": candidate, "kind": kind, "missing": missing.text() })
            }
        }
    }
}
