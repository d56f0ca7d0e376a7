//! `outrigger-loadtest scenarios`: compares several proxies in front of failing upstreams.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{FAILED, USAGE, fail, interrupted, print};
use crate::candidate::{find, find_outrigger};
use crate::scenarios::{Candidate, Comparison, Results, catalogue, select};
use crate::units;

/// How to read the tables.
const LEGEND: &str = "
Percentiles are over all requests: the time within which this percentage had a correct response, measured from the scheduled time; – if
fewer had one at all. *received / sent* is the number of requests that reached the upstream per sent request, warm-up included and health
checks excluded; *most* is how often the most repeated request reached it.

";

/// Candidates, their configuration files, and the syntax of these for Markdown.
const CONFIGURATIONS: [(&str, &str, &str); 3] = [
    ("outrigger", "outrigger.yaml", "yaml"),
    ("haproxy", "haproxy.cfg", "text"),
    ("envoy", "envoy.yaml", "text"),
];

/// Compare how proxies handle failing upstreams
///
/// Every scenario sends the same load, on a fixed schedule, directly to the upstream and through
/// each proxy, in alternating rounds, and reports success, latency and the requests that reached
/// the upstream. Writes configurations, logs, report.md and report.json to the output folder. Exit
/// code: 0 all requirements met and verified, 1 not, 2 usage error.
#[derive(Debug, Args)]
pub(super) struct Scenarios {
    /// Outrigger's binary [default: `outrigger` beside this program]
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,

    /// Omit these keys from Outrigger's configuration, for a version without them; the report
    /// mentions it
    #[arg(long, value_name = "KEY[,KEY]", value_delimiter = ',')]
    without: Vec<String>,

    /// HAProxy's binary [default: the installed one]
    #[arg(long, value_name = "PATH")]
    haproxy: Option<PathBuf>,

    /// Envoy's binary [default: the installed one]
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,

    /// Only these scenarios, and their reference scenarios
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    only: Vec<String>,

    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Measured time of each round, in addition to its warm-up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    duration: Duration,

    /// Output folder for configurations, logs and reports
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    out: PathBuf,

    /// List the scenarios and exit
    #[arg(long)]
    list: bool,
}

impl Scenarios {
    pub(super) async fn execute(self) -> ExitCode {
        if self.list {
            for scenario in catalogue() {
                print(format_args!("{:<12} {}", scenario.name, scenario.title));
            }
            return ExitCode::SUCCESS;
        }
        let scenarios = match select(&self.only) {
            Ok(scenarios) => scenarios,
            Err(problem) => {
                eprintln!("outrigger-loadtest: --only: {problem}");
                return ExitCode::from(USAGE);
            }
        };
        let candidates = match self.candidates() {
            Ok(candidates) => candidates,
            Err(problem) => {
                eprintln!("outrigger-loadtest: {problem}");
                return ExitCode::from(USAGE);
            }
        };
        let mut versions: Vec<_> = candidates.iter().filter_map(Candidate::version).collect();
        if !self.without.is_empty() {
            versions.push(format!("Outrigger without {}", self.without.join(", ")));
        }
        let (without, folder) = (self.without, self.out);
        let (rounds, duration) = (usize::from(self.rounds), self.duration);
        let comparison = Comparison {
            scenarios,
            candidates,
            without,
            rounds,
            duration,
            folder: folder.clone(),
        };
        let run = comparison.run(|outcome| print(format_args!("{}", outcome.to_markdown())));
        // The proxies are in their own process groups: only dropping the run stops them.
        let results = tokio::select! {
            results = run => results,
            _ = interrupted() => return ExitCode::from(FAILED),
        };
        if let Err(error) = write(&folder, &versions, &results) {
            return fail(FAILED, &error);
        }
        if results.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        }
    }

    fn candidates(&self) -> Result<Vec<Candidate>, String> {
        for (name, given) in [
            ("outrigger", &self.outrigger),
            ("haproxy", &self.haproxy),
            ("envoy", &self.envoy),
        ] {
            if let Some(path) = given.as_ref().filter(|path| !path.is_file()) {
                return Err(format!("--{name}: file {} does not exist", path.display()));
            }
        }
        let mut candidates = vec![Candidate::Direct];
        match find_outrigger(self.outrigger.as_deref()) {
            Some(path) => candidates.push(Candidate::Outrigger(path)),
            None => eprintln!(
                "outrigger-loadtest: SKIPPED outrigger: it is not beside this program and --outrigger is not given, so \
                 the requirements cannot be evaluated"
            ),
        }
        match find(self.haproxy.as_deref(), "haproxy") {
            Some(path) => candidates.push(Candidate::Haproxy(path)),
            None => eprintln!("outrigger-loadtest: SKIPPED haproxy: it is not installed"),
        }
        match find(self.envoy.as_deref(), "envoy") {
            Some(path) => candidates.push(Candidate::Envoy(path)),
            None => eprintln!("outrigger-loadtest: SKIPPED envoy: it is not installed"),
        }
        Ok(candidates)
    }
}

/// The configurations of the first scenario; those of the others are in their folders.
fn configurations(folder: &Path, results: &Results) -> std::io::Result<String> {
    let Some(first) = results.outcomes.first() else {
        return Ok(String::new());
    };
    let mut text = format!("\n## Configurations, as for {}\n", first.scenario.name);
    for (candidate, file, language) in CONFIGURATIONS {
        let path = folder.join(first.scenario.name).join(candidate).join(file);
        if path.is_file() {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n```{language}\n# {file}\n{}```\n",
                fs::read_to_string(path)?
            );
        }
    }
    Ok(text)
}

fn write(folder: &Path, versions: &[String], results: &Results) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut markdown = String::from("# Failing upstreams\n\n");
    for version in versions {
        let _ = writeln!(markdown, "- {version}");
    }
    markdown.push_str(LEGEND);
    markdown.push_str(&results.to_markdown());
    markdown.push('\n');
    markdown.push_str(&configurations(folder, results)?);
    fs::write(folder.join("report.md"), markdown)?;
    let json = json!({ "versions": versions, "scenarios": results.to_json() });
    fs::write(folder.join("report.json"), format!("{json:#}\n"))
}
