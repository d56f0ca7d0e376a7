//! Tables as Markdown.

use std::fmt::Write;

use super::About;
use crate::compare::figures::{DIRECT, Missing, Outcome, Row, Verdict, is_within};
use crate::compare::memory::{Grown, KINDS, Rest};
use crate::compare::{Fit, Goal, Growth, Metric, OUTRIGGER, Results};
use crate::markdown::aligned;
use crate::stats::Spread;

/// Columns of a scenario's table.
const COLUMNS: usize = 11;

/// Text for missing values.
const NOTHING: &str = "–";

impl Results {
    /// The report without configurations.
    #[must_use]
    pub fn to_markdown(&self, about: &About) -> String {
        // Writing to a string cannot fail.
        let mut text = "# Comparison\n\n".to_owned();
        for (name, value) in &about.facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        let goals = self.goals_to_markdown();
        if !goals.is_empty() {
            let _ = write!(text, "\n## Goals\n\n{goals}");
        }
        for outcome in &self.outcomes {
            let _ = write!(text, "\n{}", outcome.to_markdown());
        }
        if !self.idle.is_empty() || !self.held.is_empty() {
            let _ = write!(text, "\n{}", self.memory_to_markdown());
        }
        for growth in &self.growth {
            let _ = write!(text, "\n{}", growth.to_markdown());
        }
        text
    }

    /// One line per goal.
    pub(super) fn goal_rows(&self) -> Vec<[String; 6]> {
        let mut rows = Vec::new();
        for outcome in &self.outcomes {
            for goal in &outcome.scenario.goals {
                let (ratio, verdict) = outcome.judge(goal);
                rows.push([
                    format!(
                        "{}, {} × {}",
                        outcome.scenario.name,
                        goal.metric.name(),
                        outcome.scenario.reference().title()
                    ),
                    spread(ratio, 2),
                    format!("{:.2}", goal.hold),
                    held(ratio.map(|ratio| ratio.median), goal.hold).to_owned(),
                    format!("{:.2}", goal.goal),
                    verdict.text().to_owned(),
                ]);
            }
        }
        rows.extend(
            self.absolute_goals()
                .into_iter()
                .map(|(what, found, hold, goal)| {
                    let verdict = Verdict::of(found, goal);
                    // A margin of 0.05 is for ratios.
                    let verdict = if verdict == Verdict::Near {
                        Verdict::Missed
                    } else {
                        verdict
                    };
                    [
                        what,
                        number(found, 1),
                        hold.to_string(),
                        held(found, hold).to_owned(),
                        goal.to_string(),
                        verdict.text().to_owned(),
                    ]
                }),
        );
        rows
    }

    /// Goals that are not ratios: name, result, limit, goal.
    fn absolute_goals(&self) -> Vec<(String, Option<f64>, f64, f64)> {
        let mut goals = Vec::new();
        if let Some(row) = self.idle.iter().find(|row| row.candidate == OUTRIGGER) {
            let rest = row.figures.as_ref().ok();
            goals.push((
                "RSS idle, MiB".to_owned(),
                rest.map(|rest| rest.resident / 1024.0),
                8.0,
                6.0,
            ));
            goals.push((
                "idle CPU, us per second".to_owned(),
                rest.map(|rest| rest.cpu),
                50.0,
                10.0,
            ));
        }
        if let Some(outcome) = self
            .outcomes
            .iter()
            .find(|outcome| outcome.scenario.name == "h1")
        {
            let loaded = outcome
                .figures(OUTRIGGER)
                .and_then(|figures| figures.loaded());
            goals.push((
                "RSS with 64 connections, MiB".to_owned(),
                loaded.map(|kib| kib / 1024.0),
                12.0,
                9.0,
            ));
        }
        for row in self.held.iter().filter(|row| row.candidate == OUTRIGGER) {
            if let Some((hold, goal)) = row.kind.goal() {
                let each = row.figures.as_ref().ok().map(Grown::each);
                goals.push((
                    format!("KiB per idle connection, {}", row.kind.name()),
                    each,
                    hold,
                    goal,
                ));
            }
        }
        goals
    }

    fn goals_to_markdown(&self) -> String {
        let mut rows =
            vec![["", "result [min-max]", "limit", "held", "goal", "outcome"].map(str::to_owned)];
        rows.extend(self.goal_rows());
        if rows.len() == 1 {
            String::new()
        } else {
            aligned(&rows)
        }
    }

    /// Idle candidates, and candidates with idle connections.
    #[must_use]
    pub fn memory_to_markdown(&self) -> String {
        let mut text =
            "## memory\n\nIdle, and with idle connections that carried one request each.\n\n"
                .to_owned();
        text.push_str(&aligned(&self.memory_rows()));
        text
    }

    /// A heading and one line per candidate.
    pub(super) fn memory_rows(&self) -> Vec<[String; 8]> {
        let count = self
            .held
            .iter()
            .find_map(|row| row.figures.as_ref().ok())
            .map_or(0, |one| one.connections);
        let headings = [
            "".to_owned(),
            "idle CPU us/s".to_owned(),
            "RSS idle MiB".to_owned(),
            format!("KiB each, {count} {}", KINDS[0].name()),
            KINDS[1].name().to_owned(),
            KINDS[2].name().to_owned(),
            "RSS loaded MiB, h1 / tls / h2".to_owned(),
            "".to_owned(),
        ];
        let mut rows = vec![headings];
        for name in self.memory_candidates() {
            let rest: Option<&Result<Rest, Missing>> = self
                .idle
                .iter()
                .find(|row| row.candidate == name)
                .map(|row| &row.figures);
            let held = |kind| {
                self.held
                    .iter()
                    .find(|row| row.candidate == name && row.kind == kind)
            };
            let each = |kind| {
                let found = held(kind).and_then(|row| row.figures.as_ref().ok());
                number(found.map(Grown::each), 1)
            };
            let found = rest.and_then(|rest| rest.as_ref().ok());
            let trouble = rest.and_then(|rest| rest.as_ref().err()).or_else(|| {
                KINDS
                    .iter()
                    .find_map(|kind| held(*kind)?.figures.as_ref().err())
            });
            rows.push([
                name.to_owned(),
                number(found.map(|rest| rest.cpu), 0),
                number(found.map(|rest| rest.resident / 1024.0), 1),
                each(KINDS[0]),
                each(KINDS[1]),
                each(KINDS[2]),
                self.loaded(name),
                trouble.map_or_else(String::new, Missing::text),
            ]);
        }
        rows
    }

    /// Resident memory under the loads of these three scenarios.
    fn loaded(&self, candidate: &str) -> String {
        let one = |name: &str| {
            let outcome = self
                .outcomes
                .iter()
                .find(|outcome| outcome.scenario.name == name);
            let figures = outcome.and_then(|outcome| outcome.figures(candidate));
            number(
                figures
                    .and_then(|figures| figures.loaded())
                    .map(|kib| kib / 1024.0),
                1,
            )
        };
        ["h1", "tls", "h2"].map(one).join(" / ")
    }

    /// All candidates with memory results.
    pub(super) fn memory_candidates(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.idle.iter().map(|row| row.candidate).collect();
        for row in &self.held {
            if !names.contains(&row.candidate) {
                names.push(row.candidate);
            }
        }
        names
    }
}

impl Outcome {
    /// A single scenario.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let scenario = &self.scenario;
        let mut text = format!(
            "## {}\n\n{}; figures for one {}.\n\n",
            scenario.name,
            scenario.title,
            scenario.unit()
        );
        let mut rows = vec![self.headings()];
        rows.extend(self.rows.iter().map(|row| self.cells(row)));
        text.push_str(&aligned(&rows));
        if let Some(added) = self.added_text() {
            let _ = writeln!(text, "- {added}");
        }
        if self.figures(OUTRIGGER).is_some() {
            for goal in &scenario.goals {
                let _ = writeln!(text, "- {}", self.goal_text(goal));
            }
        }
        text
    }

    /// The added latency of each proxy, in scenarios with so few requests in flight that it is
    /// meaningful.
    pub(super) fn added_text(&self) -> Option<String> {
        let load = &self.scenario.load;
        if load.connections > 1 && load.rate.is_none() {
            return None;
        }
        let others = self.rows.iter().filter(|row| row.candidate != DIRECT);
        let added: Vec<_> = others
            .filter_map(|row| {
                let added = self.added(row.candidate)?;
                Some(format!(
                    "{} {:.0} [{:.0} to {:.0}]",
                    row.candidate, added.median, added.least, added.most
                ))
            })
            .collect();
        (!added.is_empty())
            .then(|| format!("p50 above that without a proxy, us: {}", added.join(", ")))
    }

    fn goal_text(&self, goal: &Goal) -> String {
        let (ratio, verdict) = self.judge(goal);
        format!(
            "{}: {} × {}; limit {:.2}: {}; goal {:.2}: {}",
            goal.metric.name(),
            spread(ratio, 2),
            self.scenario.reference().title(),
            goal.hold,
            held(ratio.map(|ratio| ratio.median), goal.hold),
            goal.goal,
            verdict.text()
        )
    }

    /// The cells of a row, under the [`headings`](Self::headings).
    pub(super) fn cells(&self, row: &Row) -> [String; COLUMNS] {
        let figures = match &row.figures {
            Ok(figures) => figures,
            Err(missing) => {
                let mut cells: [String; COLUMNS] = Default::default();
                cells[0] = row.candidate.to_owned();
                cells[COLUMNS - 1] = missing.text();
                return cells;
            }
        };
        let median = |of: fn(&crate::compare::Round) -> Option<f64>| figures.median(of);
        let latency = |index: usize| {
            number(
                figures.median(|round| round.latency.map(|latency| latency[index])),
                0,
            )
        };
        let (cpu, user) = (median(|round| round.cpu), median(|round| round.user));
        let system = median(|round| Some(round.cpu? - round.user?));
        let mib = |kib: Option<f64>| number(kib.map(|kib| kib / 1024.0), 1);
        let percent = |share: Option<f64>| number(share.map(|share| share * 100.0), 0);
        let ratio = match row.candidate {
            name if name == self.scenario.reference().candidate() => "1".to_owned(),
            name => spread(self.ratio(name, Metric::Cpu), 2),
        };
        [
            row.candidate.to_owned(),
            number(median(|round| Some(round.rate)), 0),
            match cpu {
                Some(_) => format!(
                    "{} ({} + {})",
                    number(cpu, 1),
                    number(user, 1),
                    number(system, 1)
                ),
                None => NOTHING.to_owned(),
            },
            ratio,
            latency(1),
            latency(2),
            latency(3),
            latency(4),
            format!("{} / {}", mib(figures.idle), mib(figures.loaded())),
            format!(
                "{} / {} %",
                percent(median(|round| Some(round.busy))),
                percent(median(|round| Some(round.steal)))
            ),
            String::new(),
        ]
    }

    /// The headings of [`cells`](Self::cells).
    pub(super) fn headings(&self) -> [String; COLUMNS] {
        let ratio = format!("× {} [min-max]", self.scenario.reference().title());
        [
            "",
            "per second",
            "CPU us (user + system)",
            &ratio,
            "p50 us",
            "p90",
            "p99",
            "p99.9",
            "RSS idle / loaded MiB",
            "CPU busy / steal",
            "",
        ]
        .map(str::to_owned)
    }
}

impl Growth {
    /// A single sweep.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "## {}\n\n{}, microseconds [min-max].\n\n",
            self.sweep.name, self.sweep.title
        );
        text.push_str(&aligned(&self.rows()));
        for name in self.candidates() {
            if let Some(fit) = self.fit_text(name) {
                let _ = writeln!(text, "- {name}: {fit}");
            }
        }
        text
    }

    /// A heading and one line per point and candidate.
    pub(super) fn rows(&self) -> Vec<[String; 4]> {
        let mut rows = vec![[self.sweep.axis, "candidate", "CPU us", ""].map(str::to_owned)];
        for ((x, _), outcome) in self.sweep.points.iter().zip(&self.outcomes) {
            // Candidates without results are left out.
            let able = |row: &&Row| !matches!(row.figures, Err(Missing::Unable(_)));
            for row in outcome.rows.iter().filter(able) {
                let (cpu, remark) = match &row.figures {
                    Ok(figures) => (
                        spread(figures.spread(|round| round.cpu), 1),
                        outcome.scenario.title.clone(),
                    ),
                    Err(missing) => (NOTHING.to_owned(), missing.text()),
                };
                rows.push([x.to_string(), row.candidate.to_owned(), cpu, remark]);
            }
        }
        rows
    }

    /// The fit as text.
    pub(super) fn fit_text(&self, candidate: &str) -> Option<String> {
        let fit = self.fit(candidate)?;
        Some(match self.sweep.fit {
            Fit::Power => format!("exponent {fit:.2}{}", self.each_mib(candidate)),
            Fit::Line => format!("{fit:.2} us per unit"),
        })
    }
}

impl Growth {
    /// The cost of each further MiB, if the axis is in bytes: from the two largest bodies.
    fn each_mib(&self, candidate: &str) -> String {
        let points = self.points(candidate);
        match points.as_slice() {
            [.., (less, cheap), (more, dear)] if self.sweep.axis.starts_with("bytes") => {
                let each = (dear.median - cheap.median) / (more - less) * f64::from(1 << 20);
                format!(", {each:.0} us per MiB for the largest")
            }
            _ => String::new(),
        }
    }
}

/// `0.97 [0.94-1.04]`.
pub(super) fn spread(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || NOTHING.to_owned(),
        |one| {
            format!(
                "{:.digits$} [{:.digits$}-{:.digits$}]",
                one.median, one.least, one.most
            )
        },
    )
}

pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.digits$}"))
}

fn held(found: Option<f64>, hold: f64) -> &'static str {
    match found {
        None => "not shown",
        Some(found) if is_within(found, hold) => "yes",
        Some(_) => "NO",
    }
}
