//! Results of measurements.

use serde_json::{Value, json};

use super::catalogue::{Goal, Metric, Scenario};
use super::usage::middle;
use crate::stats::Spread;

/// The candidate with goals.
pub const OUTRIGGER: &str = "outrigger";

/// The candidate without a proxy.
pub(super) const DIRECT: &str = "direct";

/// A result within this margin of a goal counts as reached: one run cannot show smaller
/// differences.
pub const MARGIN: f64 = 0.05;

/// One round of one candidate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Round {
    /// Requests or handshakes, including the warm-up.
    pub requests: f64,
    /// Correct responses per second.
    pub rate: f64,
    /// CPU time of the proxy per unit, in microseconds. `None` without a proxy.
    pub cpu: Option<f64>,
    /// The user part of it.
    pub user: Option<f64>,
    /// Microseconds: min, p50, p90, p99, p99.9, max.
    pub latency: Option<[f64; 6]>,
    /// Resident memory under load, KiB.
    pub resident: Option<f64>,
    /// Utilization of the proxy's CPU by all processes, 0 to 1.
    pub busy: f64,
    /// Share of that CPU stolen by other guests of the machine, 0 to 1.
    pub steal: f64,
}

/// All rounds of one candidate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// In the order of measurement.
    pub rounds: Vec<Round>,
    /// Resident memory before the first request, KiB.
    pub idle: Option<f64>,
}

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The candidate cannot do this.
    Unable(&'static str),
    /// It could not be run.
    NotRun(String),
    /// It did not do what it should.
    Wrong(String),
}

/// One candidate in one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The candidate's name.
    pub candidate: &'static str,
    /// Its figures, or the reason for their absence.
    pub figures: Result<Figures, Missing>,
}

/// The result of one scenario.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// By candidate.
    pub rows: Vec<Row>,
}

/// The result of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At or below the goal.
    Reached,
    /// Above it by at most [`MARGIN`].
    Near,
    /// Above the goal by more.
    Missed,
    /// There are no figures.
    NotShown,
}

impl Verdict {
    /// Compares a ratio with a goal.
    #[must_use]
    pub fn of(found: Option<f64>, goal: f64) -> Self {
        match found {
            None => Self::NotShown,
            Some(found) if is_within(found, goal) => Self::Reached,
            Some(found) if is_within(found, goal + MARGIN) => Self::Near,
            Some(_) => Self::Missed,
        }
    }

    /// As text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Near => "within 0.05",
            Self::Missed => "missed",
            Self::NotShown => "not shown",
        }
    }
}

/// Whether a figure is within a limit, both rounded to two digits as shown.
#[must_use]
pub(super) fn is_within(found: f64, bound: f64) -> bool {
    (found * 100.0).round() <= (bound * 100.0).round()
}

impl Missing {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unable(why) => format!("omitted: {why}"),
            Self::NotRun(why) => format!("not run: {why}"),
            Self::Wrong(what) => format!("WRONG: {what}"),
        }
        .replace('|', "/")
    }
}

impl Round {
    /// A figure that has goals.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => self.cpu,
            Metric::P50 => self.latency.map(|latency| latency[1]),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "requests": self.requests,
            "requests_per_s": self.rate,
            "cpu_us": self.cpu,
            "cpu_user_us": self.user,
            "cpu_system_us": self.cpu.zip(self.user).map(|(cpu, user)| cpu - user),
            "latency_us": self.latency.map(|[min, p50, p90, p99, p999, max]| {
                json!({ "min": min, "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max })
            }),
            "rss_kib": self.resident,
            "cpu_busy": self.busy,
            "cpu_steal": self.steal,
        })
    }
}

impl Figures {
    /// Median, minimum and maximum of the rounds.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(of))
    }

    /// The median of the rounds.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        middle(self.rounds.iter().map(of))
    }

    /// The ratio to another candidate in the same rounds.
    #[must_use]
    pub fn ratio(&self, to: &Self, metric: Metric) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&to.rounds);
        let ratios =
            pairs.filter_map(|(one, other)| Some(one.metric(metric)? / other.metric(metric)?));
        Spread::of(ratios.filter(|ratio| ratio.is_finite()))
    }

    /// Maximum resident memory under load, KiB.
    #[must_use]
    pub fn loaded(&self) -> Option<f64> {
        self.rounds
            .iter()
            .filter_map(|round| round.resident)
            .reduce(f64::max)
    }
}

impl Outcome {
    /// The figures of a candidate, if there are any.
    #[must_use]
    pub fn figures(&self, candidate: &str) -> Option<&Figures> {
        self.rows
            .iter()
            .find(|row| row.candidate == candidate)?
            .figures
            .as_ref()
            .ok()
    }

    /// Ratio of a candidate to the reference in the same rounds.
    #[must_use]
    pub fn ratio(&self, candidate: &str, metric: Metric) -> Option<Spread> {
        self.figures(candidate)?
            .ratio(self.figures(self.scenario.reference().candidate())?, metric)
    }

    /// The difference of the median latency to that without a proxy in the same rounds, in
    /// microseconds.
    #[must_use]
    pub fn added(&self, candidate: &str) -> Option<Spread> {
        let (with, without) = (self.figures(candidate)?, self.figures(DIRECT)?);
        let pairs = with.rounds.iter().zip(&without.rounds);
        Spread::of(
            pairs.filter_map(|(one, other)| {
                Some(one.metric(Metric::P50)? - other.metric(Metric::P50)?)
            }),
        )
    }

    /// Outrigger's ratio for a goal, and its result.
    #[must_use]
    pub fn judge(&self, goal: &Goal) -> (Option<Spread>, Verdict) {
        let ratio = self.ratio(OUTRIGGER, goal.metric);
        (
            ratio,
            Verdict::of(ratio.map(|ratio| ratio.median), goal.goal),
        )
    }

    /// Whether a candidate failed or did not run.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rows
            .iter()
            .all(|row| matches!(row.figures, Ok(_) | Err(Missing::Unable(_))))
    }

    pub(super) fn to_json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|one| json!({ "median": one.median, "min": one.least, "max": one.most }))
        };
        let rows = self.rows.iter().map(|row| match &row.figures {
            Err(missing) => json!({ "candidate": row.candidate, "missing": missing.text() }),
            Ok(figures) => json!({
                "candidate": row.candidate,
                "cpu_us": spread(figures.spread(|round| round.cpu)),
                "cpu_ratio": spread(self.ratio(row.candidate, Metric::Cpu)),
                "p50_ratio": spread(self.ratio(row.candidate, Metric::P50)),
                "p50_added_us": spread(self.added(row.candidate)),
                "requests_per_s": spread(figures.spread(|round| Some(round.rate))),
                "rss_idle_kib": figures.idle,
                "rss_loaded_kib": figures.loaded(),
                "rounds": figures.rounds.iter().map(Round::to_json).collect::<Vec<_>>(),
            }),
        });
        let goals = self.scenario.goals.iter().map(|goal| {
            let (ratio, verdict) = self.judge(goal);
            json!({
                "metric": goal.metric.name(), "hold": goal.hold, "goal": goal.goal, "ratio": spread(ratio),
                "held": ratio.map(|ratio| is_within(ratio.median, goal.hold)), "verdict": verdict.text(),
            })
        });
        json!({
            "scenario": self.scenario.name,
            "title": self.scenario.title,
            "unit": self.scenario.unit(),
            "reference": self.scenario.reference().candidate(),
            "goals": goals.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::catalogue::catalogue;
    use super::*;

    /// A candidate whose rounds have this cost.
    pub(in crate::compare) fn row(candidate: &'static str, cpu: &[f64]) -> Row {
        let round = |cpu: &f64| Round {
            requests: 1000.0,
            rate: 1e6 / cpu,
            cpu: Some(*cpu),
            user: Some(cpu / 4.0),
            latency: Some([
                5.0,
                10.0 * cpu,
                20.0 * cpu,
                30.0 * cpu,
                40.0 * cpu,
                50.0 * cpu,
            ]),
            resident: Some(8192.0),
            busy: 0.9,
            steal: 0.0,
        };
        let figures = Figures {
            rounds: cpu.iter().map(round).collect(),
            idle: Some(6000.0),
        };
        Row {
            candidate,
            figures: Ok(figures),
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let scenario = catalogue().remove(0);
        // The machine was half as fast in the second round.
        let rows = vec![
            row("outrigger", &[9.0, 18.0, 10.0]),
            row("haproxy", &[10.0, 20.0, 10.0]),
        ];
        let mut outcome = Outcome { scenario, rows };
        let ratio = outcome.ratio("outrigger", Metric::Cpu).unwrap();
        assert_eq!((ratio.median, ratio.least, ratio.most), (0.9, 0.9, 1.0));
        assert_eq!(
            outcome.judge(&outcome.scenario.goals[0]).1,
            Verdict::Reached
        );
        assert!(outcome.is_good());
        outcome.rows[1].figures = Err(Missing::Wrong("a|b".to_owned()));
        assert_eq!(
            outcome.judge(&outcome.scenario.goals[0]),
            (None, Verdict::NotShown)
        );
        assert!(!outcome.is_good());
        // A reason must not break a table.
        assert_eq!(Missing::Wrong("a|b".to_owned()).text(), "WRONG: a/b");
    }

    #[test]
    fn what_policy_costs_is_a_ratio_to_outrigger_without_it() {
        let scenario = catalogue()
            .into_iter()
            .find(|scenario| scenario.name == "policy")
            .unwrap();
        let rows = vec![
            row("outrigger", &[11.2]),
            row("outrigger-bare", &[10.0]),
            row("haproxy", &[100.0]),
        ];
        let outcome = Outcome { scenario, rows };
        let ratio = outcome.ratio("outrigger", Metric::Cpu).unwrap();
        assert!((ratio.median - 1.12).abs() < 1e-9, "{ratio:?}");
        let json = outcome.to_json();
        assert_eq!(
            (&json["reference"], &json["goals"][0]["held"]),
            (&"outrigger-bare".into(), &false.into())
        );
    }

    #[test]
    fn a_goal_is_reached_near_or_missed() {
        let verdict = |found| Verdict::of(Some(found), 0.90);
        let found = [0.9, 0.904, 0.91, 0.95, 0.96].map(verdict);
        let (reached, near) = (Verdict::Reached, Verdict::Near);
        assert_eq!(found, [reached, reached, near, near, Verdict::Missed]);
    }
}
