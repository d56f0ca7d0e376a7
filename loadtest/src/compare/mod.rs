//! Compares the cost of a request in several proxies, with the same work in one run.
//!
//! One origin and one load generator share the CPUs that the proxies do not use; each proxy has one
//! worker on one CPU, used in turn. For every scenario of the [`catalogue()`] all candidates are
//! started, verified and warmed up, and then measured round by round, so that other load on the
//! machine affects all of them. Outrigger and Outrigger without policies differ by less than that
//! noise, so they are measured at the same time. CPU time comes from the scheduler and depends less
//! on other load than rates and latencies, and a ratio to the reference in the same round depends
//! on it least.
//!
//! A candidate is measured only if it sent correct responses before. A round with a failed request,
//! or with responses that the origin did not send, ends its measurement in a scenario: its row has
//! the reason instead of figures.

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

/// The name of the memory and idle CPU measurement.
pub const MEMORY: &str = "memory";

/// Maximum number of routes in the report's configurations.
pub const SHOWN_ROUTES: usize = 3;

/// Settings of a comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The own binary, which is load and origin.
    pub program: PathBuf,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
    /// The sweeps, in order.
    pub sweeps: Vec<Sweep>,
    /// Candidates of the sweeps, by name.
    pub swept: Vec<String>,
    /// Whether memory and idle CPU are measured.
    pub memory: bool,
    /// Number of idle connections.
    pub connections: usize,
    /// Number of rounds.
    pub rounds: usize,
    /// Duration of each measurement.
    pub duration: Duration,
    /// Whether all candidates are measured at the same time, on a shared CPU, and restarted for
    /// each round.
    pub at_once: bool,
    /// CPU assignment.
    pub cpus: Cpus,
    /// Output folder for configurations, logs and reports.
    pub folder: PathBuf,
}

/// Why a comparison cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error("{path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Certificates and tokens cannot be created.
    #[error("cannot make certificates and tokens")]
    Material(#[from] MaterialError),
    /// The origin does not run.
    #[error("the origin {0}")]
    Origin(String),
}

/// All results.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// By scenario.
    pub outcomes: Vec<Outcome>,
    /// Idle candidates.
    pub idle: Vec<Idle>,
    /// Candidates with idle connections.
    pub held: Vec<Held>,
    /// By sweep.
    pub growth: Vec<Growth>,
    /// The configurations, by candidate.
    pub configurations: Vec<Configured>,
}

/// The result of a sweep.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The sweep.
    pub sweep: Sweep,
    /// The results of its points.
    pub outcomes: Vec<Outcome>,
}

/// A configuration, as written for the ports 8000 and 9001.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The candidate's name.
    pub candidate: &'static str,
    /// Scenarios that it is used in.
    pub scenarios: Vec<String>,
    /// The command line of the proxy.
    pub command: String,
    /// File names and contents.
    pub files: Vec<(String, String)>,
}

/// Selects scenarios, sweeps and the memory measurement: by names, or all, with the sweeps only if
/// `growth` is set.
///
/// # Errors
/// An unknown name.
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
            "{unknown:?} is unknown; available: {}",
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
    /// Measures everything; `report` is called with each result.
    ///
    /// # Errors
    /// When origin, folder or certificates are missing.
    pub async fn run(&self, mut report: impl FnMut(&str)) -> Result<Results, StartError> {
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
            report(&outcome.to_markdown());
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
            report(&results.memory_to_markdown());
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
            report(&growth.to_markdown());
            results.growth.push(growth);
        }
        Ok(results)
    }

    /// Every configuration once, with the scenarios that share it; those of sweeps differ only in
    /// their number.
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

/// The configuration with placeholders for ports and paths.
fn written(candidate: &Candidate, setup: &Setup) -> Option<Vec<(String, String)>> {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let upstreams = [at(9001), at(9002)];
    // The first routes show what all of them look like.
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
    /// Whether all candidates ran and sent correct responses.
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

    /// All results, including each round.
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

    /// The exponent of a power fit, or the slope of a linear fit, through the medians.
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

    /// The measured candidates.
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
            "fit": match self.sweep.fit { Fit::Power => "exponent", Fit::Line => "us per unit" },
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
