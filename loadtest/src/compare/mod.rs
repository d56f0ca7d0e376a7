//! Several proxies, the same work, one run: what does a request cost each of them?
//!
//! One origin and one load generator share the CPUs that the proxies do not have; each proxy has one worker on a CPU
//! that all of them use in turn. For every scenario of the [`catalogue()`] all candidates are started, checked and warmed
//! up, and then measured round by round, each in every round, so that whatever else the machine does weighs on all of them.
//! Outrigger and itself without its policy, which differ by less than that, are measured at the same time.
//! CPU time comes from the scheduler and survives a busy machine better than rates and latencies do, and a ratio to
//! the reference in the same round survives it best.
//!
//! Nobody is measured who has not answered rightly before, and a round with a single failed request, or with answers that
//! the origin has not given, ends a candidate's part in a scenario: its row says why, and has no figures.

mod catalogue;
mod check;
mod configure;
mod figures;
mod load;
mod material;
mod measure;
mod memory;
mod pin;
mod report;
mod stage;
mod usage;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::catalogue::{Fit, Goal, Metric, Reference, Scenario, Sweep, catalogue, sweeps};
pub use self::configure::{Listen, Setup, Upstream};
use self::configure::{Wanted, configuration};
pub use self::figures::{Figures, MARGIN, Missing, OUTRIGGER, Outcome, Round, Row, Verdict};
pub use self::load::{Handshake, Load, Tokens};
pub use self::material::{Algorithm, MaterialError};
use self::measure::Times;
pub use self::memory::{Grown, Held, Idle, KINDS, Kind, Rest};
pub use self::pin::Cpus;
pub use self::report::About;
use self::stage::Stage;
pub use self::usage::{Spent, machine};
pub use crate::candidate::Candidate;

/// The name under which memory and idleness are chosen.
pub const MEMORY: &str = "memory";

/// Of many routes so many are shown in the report's configurations.
pub const SHOWN_ROUTES: usize = 3;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Our own binary, which is load and origin.
    pub program: PathBuf,
    /// What load is sent through.
    pub candidates: Vec<Candidate>,
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
    /// The sweeps, in order.
    pub sweeps: Vec<Sweep>,
    /// Candidates of the sweeps, by name.
    pub swept: Vec<String>,
    /// Whether memory and idleness are measured.
    pub memory: bool,
    /// Idle connections that are opened.
    pub connections: usize,
    /// How often everything is measured.
    pub rounds: usize,
    /// Time of each measurement.
    pub duration: Duration,
    /// Whether all candidates are measured at the same time, on the CPU that they share, and started anew for each round.
    pub at_once: bool,
    /// Who runs where.
    pub cpus: Cpus,
    /// Where configurations, logs and reports go.
    pub folder: PathBuf,
}

/// Why a comparison cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error("{path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are no certificates and tokens.
    #[error("cannot make certificates and tokens")]
    Material(#[from] MaterialError),
    /// There is nothing to send requests to.
    #[error("the origin {0}")]
    Origin(String),
}

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// By scenario.
    pub outcomes: Vec<Outcome>,
    /// Candidates at rest.
    pub idle: Vec<Idle>,
    /// Candidates with idle connections.
    pub held: Vec<Held>,
    /// By sweep.
    pub growth: Vec<Growth>,
    /// Configurations that were used, by candidate.
    pub configurations: Vec<Configured>,
}

/// What came out of a sweep.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The sweep.
    pub sweep: Sweep,
    /// What was measured at each of its points.
    pub outcomes: Vec<Outcome>,
}

/// A configuration, as written for ports 8000 and 9001 on.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The candidate's name.
    pub candidate: &'static str,
    /// Scenarios that it is used in.
    pub scenarios: Vec<String>,
    /// How the proxy is started with it.
    pub command: String,
    /// File names and contents.
    pub files: Vec<(String, String)>,
}

/// Scenarios, sweeps and whether memory is measured: by names, or everything but the sweeps unless `growth` is wanted.
///
/// # Errors
/// A name that is none.
pub fn select(names: &[String], growth: bool) -> Result<(Vec<Scenario>, Vec<Sweep>, bool), String> {
    let (all, swept) = (catalogue(), sweeps());
    let known: Vec<&str> = all
        .iter()
        .map(|scenario| scenario.name.as_str())
        .chain([MEMORY])
        .chain(swept.iter().map(|sweep| sweep.name))
        .collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "{unknown:?} is none; there are {}",
            known.join(", ")
        ));
    }
    let named = |name: &str| names.iter().any(|wanted| wanted == name);
    let memory = named(MEMORY) || names.is_empty();
    let scenarios = all
        .iter()
        .filter(|one| names.is_empty() || named(&one.name))
        .cloned()
        .collect();
    let sweeps = swept
        .iter()
        .filter(|one| named(one.name) || (names.is_empty() && growth))
        .cloned()
        .collect();
    Ok((scenarios, sweeps, memory))
}

impl Comparison {
    /// Measures everything; `told` hears of each piece once it is complete.
    ///
    /// # Errors
    /// When there is no origin, folder or certificate to begin with.
    pub async fn run(&self, mut told: impl FnMut(&str)) -> Result<Results, StartError> {
        let stage = Stage::set(self.program.clone(), &self.folder, self.cpus.clone()).await?;
        let times = Times {
            rounds: self.rounds,
            duration: self.duration,
            at_once: self.at_once,
        };
        let mut results = Results {
            configurations: self.configurations(),
            ..Results::default()
        };
        for scenario in &self.scenarios {
            let outcome =
                measure::scenario(&stage, scenario, &self.candidates, times, &scenario.name).await;
            told(&outcome.to_markdown());
            results.outcomes.push(outcome);
        }
        if self.memory {
            results.idle = memory::idle(
                &stage,
                &self.candidates,
                self.duration.max(Duration::from_secs(5)),
            )
            .await;
            for kind in KINDS {
                let rows = memory::held(&stage, &self.candidates, kind, self.connections).await;
                results.held.extend(rows);
            }
            told(&results.memory_to_markdown());
        }
        let swept = |candidate: &&Candidate| self.swept.iter().any(|name| name == candidate.name());
        let swept: Vec<_> = self.candidates.iter().filter(swept).cloned().collect();
        for sweep in &self.sweeps {
            let mut outcomes = Vec::new();
            for (x, scenario) in &sweep.points {
                let place = format!("{}/{x}", sweep.name);
                outcomes.push(measure::scenario(&stage, scenario, &swept, times, &place).await);
            }
            let growth = Growth {
                sweep: sweep.clone(),
                outcomes,
            };
            told(&growth.to_markdown());
            results.growth.push(growth);
        }
        Ok(results)
    }

    /// Every configuration once, with the scenarios that share it; those of sweeps are the same but for their number.
    fn configurations(&self) -> Vec<Configured> {
        let mut found: Vec<Configured> = Vec::new();
        let bare = self.candidates.iter().filter_map(Candidate::bare);
        for candidate in self.candidates.iter().cloned().chain(bare) {
            for scenario in &self.scenarios {
                let Some(files) = written(&candidate, &scenario.setup) else {
                    continue;
                };
                let same =
                    |one: &&mut Configured| one.candidate == candidate.name() && one.files == files;
                match found.iter_mut().find(same) {
                    Some(one) => one.scenarios.push(scenario.name.clone()),
                    None => found.push(Configured {
                        candidate: candidate.name(),
                        scenarios: vec![scenario.name.clone()],
                        command: candidate.command_line(&files[0].0),
                        files,
                    }),
                }
            }
        }
        found
    }
}

/// The configuration for ports and paths that mean nothing.
fn written(candidate: &Candidate, setup: &Setup) -> Option<Vec<(String, String)>> {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let upstreams = [at(9001), at(9002)];
    // The first routes tell what all of them look like.
    let setup = &Setup {
        routes: setup.routes.min(SHOWN_ROUTES),
        ..setup.clone()
    };
    let count = if matches!(setup.upstream, Upstream::Failing | Upstream::Pair) {
        2
    } else {
        1
    };
    let wanted = Wanted {
        setup,
        listen: at(8000),
        upstreams: &upstreams[..count],
        socket: Path::new("/run/origin.sock"),
        material: Path::new("/material"),
        folder: Path::new("/folder"),
    };
    let files = configuration(candidate, &wanted).ok()?;
    Some(
        files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text))
            .collect(),
    )
}

impl Results {
    /// Whether everybody ran and answered rightly.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let fine = |missing: &Missing| matches!(missing, Missing::Unable(_));
        let swept = self.growth.iter().flat_map(|growth| &growth.outcomes);
        self.outcomes.iter().chain(swept).all(Outcome::is_good)
            && self
                .idle
                .iter()
                .all(|row| row.figures.as_ref().map_or_else(fine, |_| true))
            && self
                .held
                .iter()
                .all(|row| row.figures.as_ref().map_or_else(fine, |_| true))
    }

    /// Everything, each round too.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let configurations = self.configurations.iter().map(|one| {
            let files = one
                .files
                .iter()
                .map(|(name, text)| json!({ "name": name, "text": text }));
            json!({
                "candidate": one.candidate, "scenarios": one.scenarios, "command": one.command,
                "files": files.collect::<Vec<_>>(),
            })
        });
        json!({
            "scenarios": self.outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
            "idle": self.idle.iter().map(Idle::to_json).collect::<Vec<_>>(),
            "connections": self.held.iter().map(Held::to_json).collect::<Vec<_>>(),
            "growth": self.growth.iter().map(Growth::to_json).collect::<Vec<_>>(),
            "configurations": configurations.collect::<Vec<_>>(),
        })
    }
}

impl Growth {
    /// Points of one candidate: the sweep's number and CPU per request.
    #[must_use]
    pub fn points(&self, candidate: &str) -> Vec<(f64, crate::stats::Spread)> {
        let numbers = self.sweep.points.iter().map(|(x, _)| *x);
        let found = |(x, outcome): (f64, &Outcome)| {
            Some((x, outcome.figures(candidate)?.spread(|round| round.cpu)?))
        };
        numbers.zip(&self.outcomes).filter_map(found).collect()
    }

    /// The exponent of a power or the slope of a line through the medians.
    #[must_use]
    pub fn fit(&self, candidate: &str) -> Option<f64> {
        let medians: Vec<_> = self
            .points(candidate)
            .into_iter()
            .map(|(x, spread)| (x, spread.median))
            .collect();
        match self.sweep.fit {
            Fit::Power => crate::stats::exponent(&medians),
            Fit::Line => crate::stats::slope(&medians),
        }
    }

    /// Whoever was measured.
    #[must_use]
    pub fn candidates(&self) -> Vec<&'static str> {
        self.outcomes.first().map_or_else(Vec::new, |one| {
            one.rows.iter().map(|row| row.candidate).collect()
        })
    }

    fn to_json(&self) -> Value {
        let points = self.sweep.points.iter().zip(&self.outcomes);
        let points =
            points.map(|((x, _), outcome)| json!({ "x": x, "rows": outcome.to_json()["rows"] }));
        let fits = self
            .candidates()
            .into_iter()
            .map(|name| json!({ "candidate": name, "fit": self.fit(name) }));
        json!({
            "sweep": self.sweep.name,
            "title": self.sweep.title,
            "axis": self.sweep.axis,
            "fit": match self.sweep.fit { Fit::Power => "exponent", Fit::Line => "us for each" },
            "fits": fits.collect::<Vec<_>>(),
            "points": points.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_chosen_and_nothing_else() {
        let names = |of: &[&str], growth| {
            let of: Vec<_> = of.iter().map(|name| (*name).to_owned()).collect();
            let (scenarios, sweeps, memory) = select(&of, growth)?;
            Ok::<_, String>((scenarios.len(), sweeps.len(), memory))
        };
        assert_eq!(names(&[], false), Ok((catalogue().len(), 0, true)));
        assert_eq!(
            names(&[], true),
            Ok((catalogue().len(), sweeps().len(), true))
        );
        assert_eq!(names(&["h1", "growth-routes"], true), Ok((1, 1, false)));
        assert_eq!(names(&["memory"], false), Ok((0, 0, true)));
        assert!(
            names(&["nothing"], false)
                .unwrap_err()
                .contains("growth-bodies")
        );
    }
}
