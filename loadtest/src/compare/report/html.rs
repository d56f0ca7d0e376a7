//! The HTML report.

use std::fmt::Write;

use super::About;
use super::page::{escape, page, table};
use super::plot::{Axis, Scale, Series, Unit, bars, legend, lines, ratios};
use crate::compare::figures::Outcome;
use crate::compare::memory::KINDS;
use crate::compare::{Configured, Fit, Growth, Metric, Reference, Results, SHOWN_ROUTES};
use crate::stats::Spread;

/// Method and interpretation.
const READING: &str = "<p>Proxies run on their own CPU, one at a time, with one worker or thread; origin and load \
generator share the others. All candidates of a scenario are running before it starts and are measured in turn, round by round; if \
<b>rounds</b> above says so, all at the same time and restarted for each round. \
Every candidate was verified before (correct status and body, sent by the origin; rejection without TLS, without a \
certificate or without a valid token, where these are required), and has no figures if a single request in a measured round failed.</p>
<p><b>CPU</b> is the scheduler's run time of all processes and threads of the proxy, divided by the requests of the same time; the \
kernel's work for them is included. It is the most reliable figure: rates and latencies also depend on load and origin, and on a virtual \
machine on other guests. <b>× HAProxy</b> is the ratio in the same round, as median and [min-max] of the rounds (<b>× outrigger-bare</b>: to Outrigger \
without the features whose cost the scenario measures; these two are restarted for each round and measured at the same time, because they differ by less than \
the noise of the machine); one run cannot show differences below 0.05. Where the proxy's CPU is less than 95 % busy, load and origin were the limit: the rate is \
then not the maximum. Latency is measured from the scheduled start of a request, and at 64 connections it is mostly queueing.</p>\n";

impl Results {
    /// The whole report as one page.
    #[must_use]
    pub fn to_html(&self, about: &About) -> String {
        let mut body = facts(about);
        body.push_str(&self.overview());
        body.push_str("<h2>Interpretation</h2>\n");
        body.push_str(READING);
        for outcome in &self.outcomes {
            body.push_str(&section(outcome));
        }
        body.push_str(&self.memory());
        for growth in &self.growth {
            body.push_str(&grown(growth));
        }
        body.push_str(&configurations(&self.configurations));
        page("Outrigger compared with other proxies", &body)
    }

    fn overview(&self) -> String {
        let mut text = "<h2>Overview</h2>\n".to_owned();
        for reference in Reference::ALL {
            text.push_str(&self.ratios_to(reference));
        }
        let goals = self.goal_rows();
        if !goals.is_empty() {
            text.push_str("<h3>Goals of Outrigger</h3>\n");
            let headings = ["", "result", "limit", "held", "goal", "outcome"].map(str::to_owned);
            let rows: Vec<_> = [headings].into_iter().chain(goals).collect();
            text.push_str(&coloured(&table(&rows)));
        }
        text
    }

    /// A plot of all scenarios with this reference.
    fn ratios_to(&self, reference: Reference) -> String {
        let row = |outcome: &Outcome| {
            let ratio =
                |name: &'static str| Some((name.to_owned(), outcome.ratio(name, Metric::Cpu)?));
            let names = outcome.rows.iter().map(|row| row.candidate);
            let found: Vec<_> = names.filter_map(ratio).collect();
            (found.len() > 1).then(|| (outcome.scenario.name.clone(), found))
        };
        let held_against = |outcome: &&Outcome| outcome.scenario.reference() == reference;
        let rows: Vec<_> = self
            .outcomes
            .iter()
            .filter(held_against)
            .filter_map(row)
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in rows.iter().flat_map(|(_, row)| row) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let title = format!(
            "CPU per request, × {} in the same round (lower is better)",
            reference.title()
        );
        let plot = figure(
            &ratios(&title, &rows),
            "Medians; the bar is the range of Outrigger's rounds.",
        );
        legend(&names) + &plot
    }

    fn memory(&self) -> String {
        if self.idle.is_empty() && self.held.is_empty() {
            return String::new();
        }
        let mut text = "<section>\n<h2>Memory and idle CPU</h2>\n".to_owned();
        let names = self.memory_candidates();
        text.push_str(&legend(&names));
        text.push_str("<div class=\"pair\">\n");
        let once = |value: f64| Spread {
            median: value,
            least: value,
            most: value,
        };
        let idle = self.idle.iter().filter_map(|row| {
            let rest = row.figures.as_ref().ok()?;
            Some((row.candidate.to_owned(), once(rest.resident / 1024.0)))
        });
        text.push_str(&figure(
            &bars("resident when idle, MiB", &idle.collect::<Vec<_>>()),
            "",
        ));
        for kind in KINDS {
            let each = self
                .held
                .iter()
                .filter(|row| row.kind == kind)
                .filter_map(|row| {
                    Some((
                        row.candidate.to_owned(),
                        once(row.figures.as_ref().ok()?.each()),
                    ))
                });
            let each: Vec<_> = each.collect();
            if !each.is_empty() {
                let title = format!("KiB per idle connection, {}", kind.name());
                text.push_str(&figure(&bars(&title, &each), ""));
            }
        }
        text.push_str("</div>\n");
        text.push_str(&table(&self.memory_rows()));
        text.push_str(
            "<p>Each measured once. An idle connection has carried one request.</p>\n</section>\n",
        );
        text
    }
}

fn facts(about: &About) -> String {
    let mut text = "<dl>\n".to_owned();
    for (name, value) in &about.facts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    text.push_str("</dl>\n");
    text
}

fn figure(plot: &str, caption: &str) -> String {
    match caption {
        "" => format!("<figure>{plot}</figure>\n"),
        _ => format!(
            "<figure>{plot}<figcaption>{}</figcaption></figure>\n",
            escape(caption)
        ),
    }
}

/// Results of goals in their colors.
fn coloured(table: &str) -> String {
    [
        ("reached", "good"),
        ("within 0.05", "good"),
        ("missed", "bad"),
        ("NO", "bad"),
    ]
    .iter()
    .fold(table.to_owned(), |text, (word, class)| {
        let (cell, remark) = (
            format!("<td>{word}</td>"),
            format!("<td class=\"remark\">{word}</td>"),
        );
        text.replace(&cell, &format!("<td class=\"{class}\">{word}</td>"))
            .replace(
                &remark,
                &format!("<td class=\"remark {class}\">{word}</td>"),
            )
    })
}

/// One scenario.
fn section(outcome: &Outcome) -> String {
    let scenario = &outcome.scenario;
    let unit = scenario.unit();
    let mut text = format!(
        "<section id=\"{name}\">\n<h2>{name}</h2>\n<p>{title}.</p>\n",
        name = escape(&scenario.name),
        title = escape(&scenario.title)
    );
    let cpu = |row: &crate::compare::Row| {
        let spread = row.figures.as_ref().ok()?.spread(|round| round.cpu)?;
        Some((row.candidate.to_owned(), spread))
    };
    let costs: Vec<_> = outcome.rows.iter().filter_map(cpu).collect();
    let waits: Vec<_> = outcome.rows.iter().filter_map(latencies).collect();
    if !costs.is_empty() || !waits.is_empty() {
        text.push_str("<div class=\"pair\">\n");
        if !costs.is_empty() {
            text.push_str(&figure(
                &bars(
                    &format!("CPU per {unit}, us [min-max of the rounds]"),
                    &costs,
                ),
                "",
            ));
        }
        if !waits.is_empty() {
            let names: Vec<_> = waits.iter().map(|one| one.candidate.as_str()).collect();
            let x = Axis {
                title: "percentile",
                scale: Scale::Linear,
                unit: Unit::Percentile,
            };
            let title = format!("latency of a {unit}, us");
            let y = Axis {
                title: &title,
                scale: Scale::Log,
                unit: Unit::Count,
            };
            let _ = writeln!(
                text,
                "<figure>{}{}</figure>",
                lines(x, y, &waits),
                legend(&names)
            );
        }
        text.push_str("</div>\n");
    }
    let mut rows = vec![outcome.headings()];
    rows.extend(outcome.rows.iter().map(|row| outcome.cells(row)));
    text.push_str(&table(&rows));
    if let Some(added) = outcome.added_text() {
        let _ = writeln!(text, "<p>{}.</p>", escape(&added));
    }
    text.push_str("</section>\n");
    text
}

fn latencies(row: &crate::compare::Row) -> Option<Series> {
    let figures = row.figures.as_ref().ok()?;
    let at = |index: usize| figures.spread(|round| round.latency.map(|latency| latency[index]));
    let points: Vec<_> = (0..4)
        .filter_map(|place| Some((place as f64, at(place + 1)?)))
        .collect();
    (!points.is_empty()).then(|| Series {
        candidate: row.candidate.to_owned(),
        points,
    })
}

/// One sweep.
fn grown(growth: &Growth) -> String {
    let sweep = &growth.sweep;
    let mut text = format!(
        "<section id=\"{}\">\n<h2>Scalability: {}</h2>\n<p>{}.</p>\n",
        escape(sweep.name),
        escape(sweep.axis),
        escape(sweep.title)
    );
    text.push_str("<div class=\"pair\">\n");
    let scale = if sweep.fit == Fit::Power {
        Scale::Log
    } else {
        Scale::Linear
    };
    let is_bytes = sweep.axis.starts_with("bytes");
    let series: Vec<_> = growth
        .candidates()
        .into_iter()
        .map(|name| Series {
            candidate: name.to_owned(),
            points: growth.points(name),
        })
        .filter(|one| !one.points.is_empty())
        .collect();
    if !series.is_empty() {
        let unit = if is_bytes { Unit::Bytes } else { Unit::Count };
        let x = Axis {
            title: sweep.axis,
            scale,
            unit,
        };
        let y = Axis {
            title: "CPU per request, us",
            scale,
            unit: Unit::Count,
        };
        let names: Vec<_> = series.iter().map(|one| one.candidate.as_str()).collect();
        let _ = writeln!(
            text,
            "<figure>{}{}</figure>",
            lines(x, y, &series),
            legend(&names)
        );
    }
    text.push_str("<div>\n<ul>\n");
    for one in &series {
        if let Some(fit) = growth.fit_text(&one.candidate) {
            let _ = writeln!(
                text,
                "<li>{}: {}</li>",
                escape(&one.candidate),
                escape(&fit)
            );
        }
    }
    text.push_str("</ul>\n");
    text.push_str(&table(&growth.rows()));
    text.push_str("</div>\n</div>\n</section>\n");
    text
}

fn configurations(all: &[Configured]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<h2>Configurations</h2>\n<p>As for a listener on port 8000 and an origin on 9001; of many routes the first \
         {SHOWN_ROUTES}.</p>\n"
    );
    for one in all {
        let _ = writeln!(
            text,
            "<details><summary>{}: {}</summary>\n<p><code>{}</code></p>",
            escape(one.candidate),
            escape(&one.scenarios.join(", ")),
            escape(&one.command)
        );
        for (name, content) in &one.files {
            let _ = writeln!(
                text,
                "<p>{}</p>\n<pre>{}</pre>",
                escape(name),
                escape(content)
            );
        }
        text.push_str("</details>\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::figures::{Missing, Row, tests::row};
    use crate::compare::{Candidate, Figures, Grown, Held, Idle, Kind, Rest, catalogue, sweeps};

    fn results() -> Results {
        let rows = |factor: f64| {
            vec![
                row("direct", &[1.0]),
                row("outrigger", &[9.0 * factor, 9.5]),
                row("haproxy", &[10.0 * factor, 10.0]),
                row("outrigger-bare", &[8.0 * factor, 8.0]),
                Row {
                    candidate: "caddy",
                    figures: Err(Missing::Wrong("<b>".to_owned())),
                },
            ]
        };
        let outcomes = catalogue()
            .into_iter()
            .map(|scenario| Outcome {
                scenario,
                rows: rows(1.0),
            })
            .collect();
        let growth = sweeps().into_iter().map(|sweep| {
            let outcome = |(x, scenario): &(f64, _)| Outcome {
                scenario: Clone::clone(scenario),
                rows: rows(1.0 + x),
            };
            Growth {
                outcomes: sweep.points.iter().map(outcome).collect(),
                sweep,
            }
        });
        let grown = Grown {
            connections: 100,
            idle: 6000.0,
            held: 7000.0,
        };
        Results {
            outcomes,
            growth: growth.collect(),
            idle: vec![Idle {
                candidate: "outrigger",
                figures: Ok(Rest {
                    resident: 6144.0,
                    cpu: 3.0,
                }),
            }],
            held: vec![Held {
                candidate: "outrigger",
                kind: Kind::Plain,
                figures: Ok(grown),
            }],
            configurations: vec![Configured {
                candidate: Candidate::Direct.name(),
                scenarios: vec!["h1".to_owned()],
                command: "run & see".to_owned(),
                files: vec![("a.conf".to_owned(), "x < y".to_owned())],
            }],
        }
    }

    /// Elements are closed in the reverse order of opening.
    fn well_formed(text: &str) {
        let mut open = Vec::new();
        for piece in text.split('<').skip(1) {
            let (tag, _) = piece.split_once('>').unwrap();
            let name = tag
                .trim_start_matches('/')
                .split([' ', '/'])
                .next()
                .unwrap();
            if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
                continue;
            }
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_page_is_complete_and_contains_every_candidate() {
        let results = results();
        let mut about = About::default();
        about.add("repeated by", "outrigger-loadtest compare --only <all>");
        let text = results.to_html(&about);
        well_formed(&text);
        for scenario in catalogue() {
            let start = text
                .find(&format!("<section id=\"{}\">", scenario.name))
                .unwrap();
            let section = &text[start..start + text[start..].find("</section>").unwrap()];
            for name in ["direct", "outrigger", "haproxy", "caddy"] {
                assert!(
                    section.contains(&format!("<th scope=\"row\">{name}</th>")),
                    "{}: {name}",
                    scenario.name
                );
            }
            assert!(
                section.contains("WRONG: &lt;b&gt;") && section.contains("<svg"),
                "{section}"
            );
        }
        for sweep in sweeps() {
            assert!(
                text.contains(&format!("<section id=\"{}\">", sweep.name)),
                "{}",
                sweep.name
            );
        }
        for outcome in [
            "remark good\">reached",
            "remark good\">within 0.05",
            "remark bad\">missed",
            "bad\">NO",
        ] {
            assert!(text.contains(outcome), "{outcome}");
        }
        for title in ["HAProxy", "outrigger-bare"] {
            let plot = format!("aria-label=\"CPU per request, × {title} in the same round");
            assert_eq!(text.matches(&plot).count(), 1, "{title}");
        }
        assert!(
            !text.contains("NaN") && !text.contains("inf"),
            "a figure is none"
        );
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("<script")
        );
        assert!(text.contains("run &amp; see") && text.contains("--only &lt;all&gt;"));
    }

    #[test]
    fn the_tables_have_goals_and_verdicts() {
        let text = results().to_markdown(&About::default());
        // 0.9 and 0.95 of HAProxy.
        assert!(
            text.contains(
                "CPU: 0.93 [0.90-0.95] × HAProxy; limit 1.12: yes; goal 0.92: within 0.05"
            ),
            "{text}"
        );
        assert!(
            text.contains("| h2, CPU × HAProxy ")
                && text.contains("reached")
                && text.contains("missed")
        );
        assert!(text.contains("| RSS idle, MiB"));
        assert!(text.contains("| policy, CPU × outrigger-bare "), "{text}");
        // 1.125 and 1.1875 of Outrigger without it.
        let (_, policy) = text.split_once("## policy\n").unwrap();
        assert!(
            policy.contains(
                "CPU: 1.16 [1.12-1.19] × outrigger-bare; limit 1.10: NO; goal 1.10: missed"
            ),
            "{policy}"
        );
        let json = results().to_json();
        assert_eq!(json["scenarios"][0]["goals"][0]["verdict"], "within 0.05");
        assert_eq!(json["scenarios"][0]["rows"][4]["missing"], "WRONG: <b>");
        assert!(json["growth"][0]["fits"][1]["fit"].is_number());
    }

    #[test]
    fn an_empty_report_is_whole_too() {
        well_formed(&Results::default().to_html(&About::default()));
        let rows = vec![Row {
            candidate: "outrigger",
            figures: Ok(Figures::default()),
        }];
        let outcome = Outcome {
            scenario: catalogue().remove(0),
            rows,
        };
        let results = Results {
            outcomes: vec![outcome],
            ..Results::default()
        };
        well_formed(&results.to_html(&About::default()));
    }
}
