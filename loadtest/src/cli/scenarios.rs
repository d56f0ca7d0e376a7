//! `outrigger-loadtest scenarios`: bad upstreams behind several proxies, side by side.

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

/// How the tables are to be read.
const LEGEND: &str = "
Percentiles are the time within which so many of all requests had a right answer, counted from when a request was due; – where
fewer had one at all. *received / sent* is what reached the upstream for each request of the load, warm-up included and health
checks left out; *most* is how often the most repeated request reached it.

";

/// Candidates, the files they are configured by, and the language of these.
const CONFIGURATIONS: [(&str, &str, &str); 3] = [
    ("outrigger", "outrigger.yaml", "yaml"),
    ("haproxy", "haproxy.cfg", "text"),
    ("envoy", "envoy.yaml", "text"),
];

/// Compare what proxies make of bad upstreams
///
/// Every scenario sends the same load, on a fixed schedule, straight to the upstream and through each proxy, in
/// alternating rounds, and tells success, latency and what reached the upstream. Configurations, logs, report.md and
/// report.json are left in the folder. Exit code: 0 all held and verified, 1 not, 2 wrong usage.
#[derive(Debug, Args)]
pub(super) struct Scenarios {
    /// Outrigger's binary [default: `outrigger` beside this program]
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,

    /// Leave these keys out of Outrigger's configuration, for a version that does not have them; the report says so
    #[arg(long, value_name = "KEY[,KEY]", value_delimiter = ',')]
    without: Vec<String>,

    /// HAProxy's binary [default: where packages put it, if it is there]
    #[arg(long, value_name = "PATH")]
    haproxy: Option<PathBuf>,

    /// Envoy's binary [default: where packages put it, if it is there]
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,

    /// Only these scenarios, and those they are held against
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    only: Vec<String>,

    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Counted time of each measurement; its warm-up comes on top
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    duration: Duration,

    /// Folder for configurations, logs and reports
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    out: PathBuf,

    /// Show the scenarios and do nothing
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
        // The proxies are in process groups of their own: only dropping the run ends them.
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
                return Err(format!("--{name}: there is no file {}", path.display()));
            }
        }
        let mut candidates = vec![Candidate::Direct];
        match find_outrigger(self.outrigger.as_deref()) {
            Some(path) => candidates.push(Candidate::Outrigger(path)),
            None => eprintln!(
                "outrigger-loadtest: SKIPPED outrigger: it is not beside this program and --outrigger is not given, so \
                 there is nothing to hold the claims against"
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

/// The configurations of the first scenario; those of the others stand in their folders.
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
    let mut markdown = String::from("# Bad upstreams\n\n");
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
