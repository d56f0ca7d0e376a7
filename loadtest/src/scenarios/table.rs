//! The results as Markdown tables that are also aligned on a terminal.

use std::fmt::Write;

use super::measure::Missing;
use super::{Outcome, Results};
use crate::markdown::aligned;

const HEADINGS: [&str; 9] = [
    "",
    "success",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "received / sent",
    "most",
    "share by endpoint",
    "failures",
];

impl Results {
    /// Every scenario with its table, and its requirements.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for outcome in &self.outcomes {
            let _ = writeln!(text, "{}", outcome.to_markdown());
        }
        text.trim_end().to_owned()
    }
}

impl Outcome {
    /// A single scenario.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let scenario = &self.scenario;
        let mut text = format!("## {}\n\n{}", scenario.name, scenario.title);
        let _ = write!(text, " {} {}/s; ", scenario.rate, scenario.method);
        let endpoints = scenario.endpoints.iter().map(|one| match one.weight {
            1 => format!("{} `{}`", one.name, one.behaviour),
            weight => format!("{} (weight {weight}) `{}`", one.name, one.behaviour),
        });
        let _ = writeln!(text, "{}.\n", endpoints.collect::<Vec<_>>().join(", "));
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.rows.iter().filter_map(|row| match &row.figures {
            Ok(_) => Some(row.cells()),
            Err(Missing::Unable) => None,
            Err(missing) => {
                let mut cells: [String; HEADINGS.len()] = Default::default();
                cells[0] = row.name();
                cells[HEADINGS.len() - 1] = missing.text();
                Some(cells)
            }
        }));
        text.push_str(&aligned(&rows));
        for (what, verdict) in &self.verdicts {
            let _ = write!(text, "\n- must ({what}): **{}**", verdict.text());
        }
        if !self.verdicts.is_empty() {
            text.push('\n');
        }
        text
    }
}

impl super::Row {
    fn name(&self) -> String {
        match self.variant {
            "" => self.candidate.to_owned(),
            variant => format!("{}, {variant}", self.candidate),
        }
    }

    fn cells(&self) -> [String; HEADINGS.len()] {
        let Ok(figures) = &self.figures else {
            return Default::default();
        };
        let time = |percentile| {
            figures
                .latency(percentile)
                .map_or_else(|| "–".to_owned(), |time| format!("{time:.1}"))
        };
        let shares: Vec<_> = figures
            .shares()
            .iter()
            .map(|share| format!("{share:.1}"))
            .collect();
        let failures: Vec<_> = figures
            .failures()
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        [
            self.name(),
            format!("{:.2} %", figures.success()),
            time(50.0),
            time(99.0),
            time(99.9),
            format!("{:.3}", figures.attempts()),
            figures.most().to_string(),
            shares.join(" / "),
            failures.join(", "),
        ]
    }
}

impl Missing {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unable => "not supported".to_owned(),
            Self::NotRun(why) => format!("not run: {why}"),
            Self::Unverified(doubts) => format!("not verified: {}", doubts.join("; ")),
        }
        .replace('|', "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_break_the_table() {
        assert_eq!(Missing::NotRun("a|b".to_owned()).text(), "not run: a/b");
    }
}
