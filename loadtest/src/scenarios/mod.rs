//! Compares several proxies in front of the same failing upstream with the same load.
//!
//! For every scenario of the [`catalogue()`] each candidate gets a new
//! [simulator](crate::simulator), a new process and the same load on a fixed schedule; rounds of
//! all candidates alternate, so that other load on the machine affects all of them. Figures that
//! cannot be verified (see [`Missing`]) are not reported.

mod catalogue;
mod configure;
mod figures;
mod measure;
mod table;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::catalogue::{
    CLIENT_LIMIT, Claim, Hedge, Must, Policy, Reference, Scenario, Settings, Simulated, Variant,
    catalogue,
};
pub use self::figures::Figures;
pub use self::measure::{Measured, Missing};
use self::measure::{Place, measure};
pub use self::verdict::Verdict;
use self::verdict::judge;
pub use crate::candidate::Candidate;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Keys that are omitted from Outrigger's configuration, for a version without them.
    pub without: Vec<String>,
    /// Number of rounds.
    pub rounds: usize,
    /// Measured time of each round.
    pub duration: Duration,
    /// Output folder for configurations and logs.
    pub folder: PathBuf,
}

/// The result.
#[derive(Debug, Clone)]
pub struct Results {
    /// By scenario.
    pub outcomes: Vec<Outcome>,
}

/// The result of one scenario.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// By candidate and variant.
    pub rows: Vec<Row>,
    /// The requirements for Outrigger: the variant's name or `outrigger`, and the verdict.
    pub verdicts: Vec<(String, Verdict)>,
}

/// One candidate in one variant.
#[derive(Debug, Clone)]
pub struct Row {
    /// The candidate's name.
    pub candidate: &'static str,
    /// The variant's label.
    pub variant: &'static str,
    /// Its figures, if there are any.
    pub figures: Result<Figures, Missing>,
}

/// The scenarios of these names and their reference scenarios, in the order of the catalogue; all
/// when there are no names.
///
/// # Errors
/// An unknown name.
pub fn select(names: &[String]) -> Result<Vec<Scenario>, String> {
    let all = catalogue();
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|known| known.name == **name))
    {
        let known: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        return Err(format!(
            "{unknown:?} is not a scenario; available: {}",
            known.join(", ")
        ));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let needed: Vec<_> = all
        .iter()
        .filter(|one| wanted(one.name))
        .flat_map(Scenario::references)
        .collect();
    Ok(all
        .into_iter()
        .filter(|one| wanted(one.name) || needed.contains(&one.name))
        .collect())
}

impl Comparison {
    /// Measures everything; `report` is called with each finished scenario.
    pub async fn run(self, mut report: impl FnMut(&Outcome)) -> Results {
        let mut results = Results {
            outcomes: Vec::new(),
        };
        for scenario in &self.scenarios {
            let rows = self.rows(scenario).await;
            let mut outcome = Outcome {
                scenario: scenario.clone(),
                rows,
                verdicts: Vec::new(),
            };
            outcome.verdicts = results.verdicts(&outcome);
            report(&outcome);
            results.outcomes.push(outcome);
        }
        results
    }

    async fn rows(&self, scenario: &Scenario) -> Vec<Row> {
        let mut runs: Vec<_> = self
            .pairs(scenario)
            .map(|pair| (pair, Vec::new()))
            .collect();
        for round in 1..=self.rounds {
            for ((candidate, variant), found) in &mut runs {
                let folder = self.folder_of(scenario, candidate, variant);
                let (without, folder, duration) = (&self.without, &folder, self.duration);
                let place = Place {
                    scenario,
                    variant,
                    without,
                    folder,
                    round,
                    duration,
                };
                found.push(measure(candidate, &place).await);
            }
        }
        let row =
            |((candidate, variant), found): ((&Candidate, &Variant), Vec<Result<_, _>>)| Row {
                candidate: candidate.name(),
                variant: if *candidate == Candidate::Direct {
                    ""
                } else {
                    variant.label
                },
                figures: found
                    .into_iter()
                    .collect::<Result<_, _>>()
                    .and_then(|rounds| {
                        Figures::new(rounds)
                            .ok_or_else(|| Missing::NotRun("no rounds were requested".to_owned()))
                    }),
            };
        runs.into_iter().map(row).collect()
    }

    /// Every candidate in every variant; without a proxy there is only one.
    fn pairs<'a>(
        &'a self,
        scenario: &'a Scenario,
    ) -> impl Iterator<Item = (&'a Candidate, &'a Variant)> {
        self.candidates.iter().flat_map(move |candidate| {
            let variants = if *candidate == Candidate::Direct {
                1
            } else {
                scenario.variants.len()
            };
            scenario
                .variants
                .iter()
                .take(variants)
                .map(move |variant| (candidate, variant))
        })
    }

    fn folder_of(&self, scenario: &Scenario, candidate: &Candidate, variant: &Variant) -> PathBuf {
        let name = match variant.label {
            "" => candidate.name().to_owned(),
            label => format!("{}-{}", candidate.name(), label.replace(' ', "-")),
        };
        self.folder.join(Path::new(scenario.name)).join(name)
    }
}

impl Results {
    /// Whether all figures exist and all requirements are met.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.outcomes.iter().all(|outcome| {
            let complete = |row: &Row| matches!(row.figures, Ok(_) | Err(Missing::Unable));
            outcome.rows.iter().all(complete)
                && outcome
                    .verdicts
                    .iter()
                    .all(|(_, verdict)| verdict.is_held())
        })
    }

    /// Evaluates the requirements of a scenario, with its figures and those of earlier ones.
    fn verdicts(&self, outcome: &Outcome) -> Vec<(String, Verdict)> {
        let find = |of: Reference| {
            let known = self.outcomes.iter().chain([outcome]);
            known
                .filter(|one| one.scenario.name == of.scenario)
                .find_map(|one| one.outrigger(of.variant))
        };
        let judged = outcome.scenario.musts.iter().map(|must| {
            let who = if must.variant.is_empty() {
                "outrigger"
            } else {
                must.variant
            };
            let figures = outcome.outrigger(must.variant);
            (
                who.to_owned(),
                judge(must.claim, &outcome.scenario, figures, find),
            )
        });
        // Without Outrigger among the candidates there is nothing to evaluate.
        if outcome.rows.iter().any(|row| row.candidate == OUTRIGGER) {
            judged.collect()
        } else {
            Vec::new()
        }
    }

    /// All results, including each round.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.outcomes.iter().map(Outcome::to_json).collect()
    }
}

/// The reference figures of the claims.
const OUTRIGGER: &str = "outrigger";

impl Outcome {
    fn outrigger(&self, variant: &str) -> Option<&Figures> {
        let row = self
            .rows
            .iter()
            .find(|row| row.candidate == OUTRIGGER && row.variant == variant)?;
        row.figures.as_ref().ok()
    }

    fn to_json(&self) -> Value {
        let scenario = &self.scenario;
        let endpoints = scenario.endpoints.iter().map(
            |one| json!({ "name": one.name, "weight": one.weight, "behaviour": one.behaviour }),
        );
        let rows = self.rows.iter().map(|row| {
            let figures = match &row.figures {
                Ok(figures) => figures.to_json(),
                Err(missing) => json!({ "missing": missing.text() }),
            };
            json!({ "candidate": row.candidate, "variant": row.variant, "figures": figures })
        });
        let verdicts = self.verdicts.iter().map(
            |(who, verdict)| json!({ "variant": who, "held": verdict.is_held(), "text": verdict.text() }),
        );
        json!({
            "scenario": scenario.name,
            "title": scenario.title,
            "rate": scenario.rate,
            "method": scenario.method.as_str(),
            "endpoints": endpoints.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
            "musts": verdicts.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Result<Vec<&'static str>, String> {
        let of: Vec<_> = of.iter().map(|name| (*name).to_owned()).collect();
        select(&of).map(|scenarios| scenarios.iter().map(|scenario| scenario.name).collect())
    }

    #[test]
    fn a_scenario_brings_along_what_it_is_held_against() {
        assert_eq!(names(&["storm"]).unwrap(), ["storm"]);
        assert_eq!(names(&["hang"]).unwrap(), ["healthy", "hang"]);
        assert_eq!(names(&[]).unwrap().len(), catalogue().len());
        assert!(names(&["nothing"]).unwrap_err().contains("healthy"));
    }
}
