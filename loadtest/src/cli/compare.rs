//! `outrigger-loadtest compare`: compares several proxies with the same work in one run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};
use std::{env, fs};

use clap::Args;
use sha2::{Digest, Sha256};

use super::{FAILED, USAGE, fail, interrupted, print};
use crate::candidate::{find, find_outrigger};
use crate::compare::{
    About, Candidate, Comparison, Cpus, MEMORY, OUTRIGGER, catalogue, machine, select, sweeps,
};
use crate::units;

/// Rounds, duration and idle connections of `--quick`: to check that everything works, not for
/// figures.
const QUICK: (u16, Duration, usize) = (2, Duration::from_millis(500), 500);

/// Compare CPU, latency and memory of several proxies
///
/// Starts an origin, Outrigger and every other installed proxy, all configured for the same work.
/// Pins the proxy and the load to different CPUs, verifies every candidate, and measures them in
/// alternating rounds: CPU per request, latency, rate, memory. Writes configurations, logs,
/// report.md, report.json and report.html (with plots) to the output folder. Exit code: 0 success,
/// 1 a candidate did not run or sent a wrong response, 2 usage error.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Outrigger's binary [default: `outrigger` beside this program]
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,

    /// HAProxy's binary [default: the installed one; the same for the next three]
    #[arg(long, value_name = "PATH")]
    haproxy: Option<PathBuf>,

    /// nginx's binary
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,

    /// Envoy's binary
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,

    /// Caddy's binary
    #[arg(long, value_name = "PATH")]
    caddy: Option<PathBuf>,

    /// The proxy built with Pingora, from loadtest/peers/pingora
    #[arg(long, value_name = "PATH")]
    pingora: Option<PathBuf>,

    /// Only these candidates, which must exist: direct, outrigger, haproxy, nginx, envoy, caddy,
    /// pingora
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    candidates: Vec<String>,

    /// Only these scenarios and sweeps
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    only: Vec<String>,

    /// Add the sweeps: cost by number of routes, filters, connections, body bytes, endpoints
    #[arg(long)]
    growth: bool,

    /// Candidates of the sweeps
    #[arg(
        long,
        value_name = "NAME[,NAME]",
        value_delimiter = ',',
        default_value = "outrigger,haproxy"
    )]
    swept: Vec<String>,

    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Duration of each measurement
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration)]
    duration: Duration,

    /// Measure all candidates at the same time, restarted for every round: ratios are valid on a
    /// busy machine, times are not
    #[arg(long)]
    at_once: bool,

    /// Number of idle connections for the memory measurement
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    connections: usize,

    /// Two short rounds, to check that everything works: not for figures
    #[arg(long)]
    quick: bool,

    /// CPU of the proxies [default: the last available one]
    #[arg(long, value_name = "CPU")]
    proxy_cpu: Option<usize>,

    /// CPUs of load and origin [default: all others]
    #[arg(long, value_name = "CPU[,CPU]", value_delimiter = ',')]
    load_cpus: Vec<usize>,

    /// Source of the Outrigger binary, for the report [default: the git commit of the current
    /// folder]
    #[arg(long, value_name = "TEXT")]
    commit: Option<String>,

    /// Output folder for configurations, logs and reports
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,

    /// List the scenarios and sweeps and exit
    #[arg(long)]
    list: bool,
}

impl Compare {
    pub(super) async fn execute(mut self) -> ExitCode {
        if self.list {
            list();
            return ExitCode::SUCCESS;
        }
        if self.quick {
            (self.rounds, self.duration, self.connections) = QUICK;
        }
        let comparison = match self.comparison() {
            Ok(comparison) => comparison,
            Err(problem) => {
                eprintln!("outrigger-loadtest: {problem}");
                return ExitCode::from(USAGE);
            }
        };
        let about = self.about(&comparison);
        if let Err(error) = fs::create_dir_all(&self.out) {
            return fail(FAILED, &error);
        }
        let run = comparison.run(|text| print(format_args!("{text}")));
        // Dropping the run stops all processes that it has started.
        let results = tokio::select! {
            biased;
            // First, so that signals are handled before a process is started.
            _ = interrupted() => {
                eprintln!("outrigger-loadtest: interrupted; there is no report");
                return ExitCode::from(FAILED);
            }
            results = run => results,
        };
        let results = match results {
            Ok(results) => results,
            Err(error) => return fail(FAILED, &error),
        };
        if let Err(error) = results.write(&about, &self.out) {
            return fail(FAILED, &error);
        }
        print(format_args!("{}", self.out.join("report.html").display()));
        if results.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        }
    }

    fn comparison(&self) -> Result<Comparison, String> {
        let (scenarios, sweeps, memory) =
            select(&self.only, self.growth).map_err(|problem| format!("--only: {problem}"))?;
        Ok(Comparison {
            program: env::current_exe().map_err(|error| error.to_string())?,
            candidates: self.candidates()?,
            scenarios,
            sweeps,
            swept: self.swept.clone(),
            memory,
            connections: self.connections,
            rounds: usize::from(self.rounds),
            duration: self.duration,
            at_once: self.at_once,
            cpus: Cpus::choose(self.proxy_cpu, &self.load_cpus),
            folder: self.out.clone(),
        })
    }

    fn candidates(&self) -> Result<Vec<Candidate>, String> {
        type Make = fn(PathBuf) -> Candidate;
        let known: [(&str, Option<&Path>, Make); 6] = [
            (OUTRIGGER, self.outrigger.as_deref(), Candidate::Outrigger),
            ("haproxy", self.haproxy.as_deref(), Candidate::Haproxy),
            ("nginx", self.nginx.as_deref(), Candidate::Nginx),
            ("envoy", self.envoy.as_deref(), Candidate::Envoy),
            ("caddy", self.caddy.as_deref(), Candidate::Caddy),
            ("pingora", self.pingora.as_deref(), Candidate::Pingora),
        ];
        let is_known =
            |name: &&String| *name == "direct" || known.iter().any(|(one, ..)| one == name);
        if let Some(unknown) = self
            .candidates
            .iter()
            .chain(&self.swept)
            .find(|name| !is_known(name))
        {
            return Err(format!("{unknown:?} is not a candidate"));
        }
        let wanted = |name: &str| {
            self.candidates.is_empty() || self.candidates.iter().any(|one| one == name)
        };
        let mut candidates = Vec::new();
        if wanted("direct") {
            candidates.push(Candidate::Direct);
        }
        for (name, given, make) in known.into_iter().filter(|(name, ..)| wanted(name)) {
            // Outrigger and the Pingora proxy must be local builds: installed ones are not used.
            let found = match name {
                OUTRIGGER => find_outrigger(given),
                "pingora" => given.map(Path::to_path_buf).filter(|path| path.is_file()),
                _ => find(given, name),
            };
            match found {
                Some(path) => candidates.push(make(path)),
                None if given.is_some() => {
                    return Err(format!("--{name}: {}", missing(name, given)));
                }
                None if !self.candidates.is_empty() => {
                    return Err(format!("--candidates: {name} {}", missing(name, given)));
                }
                None => eprintln!(
                    "outrigger-loadtest: SKIPPED {name}: it {}",
                    missing(name, given)
                ),
            }
        }
        if candidates.is_empty() {
            Err("no candidate is available".to_owned())
        } else {
            Ok(candidates)
        }
    }

    fn about(&self, comparison: &Comparison) -> About {
        let mut about = About::default();
        // The folders of programs differ from machine to machine.
        let name = |word: String| word.rsplit('/').next().unwrap_or_default().to_owned();
        let words: Vec<_> = env::args().skip(1).map(name).collect();
        about.add("date", httpdate::fmt_http_date(SystemTime::now()));
        about.add(
            "repeated by",
            format!("outrigger-loadtest {}", words.join(" ")),
        );
        if self.quick {
            about.add("note", "--quick: these figures are not meaningful");
        }
        let how = if self.at_once {
            "all candidates at once"
        } else {
            "alternating"
        };
        about.add(
            "rounds",
            format!("{} of {:?}, {how}", comparison.rounds, comparison.duration),
        );
        let cpus = &comparison.cpus;
        let apart = if cpus.are_apart() {
            ""
        } else {
            ": they SHARE a CPU, so the figures are not meaningful"
        };
        about.add(
            "CPUs",
            format!(
                "proxy on {}, load and origin on {:?}{apart}",
                cpus.proxy, cpus.load
            ),
        );
        for (name, value) in machine() {
            about.add(name, value);
        }
        if let Some(commit) = self.commit.clone().or_else(described) {
            about.add("commit", commit);
        }
        for candidate in &comparison.candidates {
            if let Some(path) = candidate.path() {
                let version = candidate
                    .version()
                    .unwrap_or_else(|| "prints no version".to_owned());
                about.add(
                    candidate.name(),
                    format!("{version}; SHA-256 {}", digest(path)),
                );
            }
        }
        about
    }
}

/// Why a candidate cannot be started, and how to fix it.
fn missing(name: &str, given: Option<&Path>) -> String {
    match (given, name) {
        (Some(path), _) => format!("file {} does not exist", path.display()),
        (None, OUTRIGGER) => {
            "is not beside this program; build it (`cargo build --release`), or give --outrigger PATH"
                .to_owned()
        }
        (None, "pingora") => {
            "is not searched for; build it in loadtest/peers/pingora and give --pingora PATH".to_owned()
        }
        (None, _) => format!("is not installed; install it, or give --{name} PATH"),
    }
}

fn list() {
    for scenario in catalogue() {
        print(format_args!("{:<20} {}", scenario.name, scenario.title));
    }
    print(format_args!(
        "{MEMORY:<20} memory and CPU when idle, memory of idle connections"
    ));
    for sweep in sweeps() {
        print(format_args!("{:<20} {}", sweep.name, sweep.title));
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "expected a number from 1".to_owned())
}

/// The commit of the current folder, if git knows one.
fn described() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The start of a binary's digest, which distinguishes builds of the same version.
fn digest(path: &Path) -> String {
    match fs::read(path) {
        Ok(program) => Sha256::digest(&program)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        Err(error) => error.to_string(),
    }
}
