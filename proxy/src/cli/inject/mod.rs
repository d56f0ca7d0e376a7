//! `outrigger inject` and `outrigger uninject`: manifests in, manifests out; the report goes to stderr.
//!
//! All or nothing: if there is any problem, stdout stays empty and no file is written, so that a
//! pipe to `kubectl apply` never applies a pod without its sidecar.

mod diff;
mod files;

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use outrigger_inject::{ConfigSource, Configuration, Input, Options, Output, Problem};

use self::files::{Manifest, Place};
use super::{DONE, FAILED, REFUSED, print, print_error};

/// Longest `--app-prestop-sleep` in seconds: an hour.
const MAX_SLEEP: u64 = 3600;

#[derive(clap::Args)]
pub(super) struct Where {
    /// Manifests: YAML or JSON files, folders of them, or - for stdin (the default)
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the files to this folder instead of stdout
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print a unified diff instead of the manifests
    #[arg(long, conflicts_with_all = ["output", "dry_run"])]
    diff: bool,
    /// Print nothing but the report, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Set image, port, statusPort, resources.requests.cpu (or memory, limits), config=configmap/NAME or config=secret/NAME
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A configuration of the proxy: checked, then put into a ConfigMap beside each workload
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A plain container instead of a native sidecar, for clusters before 1.29
    #[arg(long)]
    classic: bool,
    /// The app's port; by default the annotation outrigger/app-port, or the only TCP port of the pod
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    app_port: Option<u16>,
    /// The app goes on serving for this long when its pod ends, such as 10s; needs Kubernetes 1.30
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    app_prestop_sleep: Option<Duration>,
    /// Probes of the app's port go through the proxy's status port, for an app that listens on 127.0.0.1 alone
    #[arg(long)]
    rewrite_probes: bool,
    /// The sidecar starts behind the init container of this name
    #[arg(long, value_name = "NAME")]
    after_init: Option<String>,
}

/// Whole seconds: `10s`, `2m`.
fn seconds(text: &str) -> Result<Duration, String> {
    let unit = [("s", 1), ("m", 60)].into_iter();
    let mut found = unit.filter_map(|(unit, each)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(each)
    });
    match found.next() {
        Some(seconds @ 1..=MAX_SLEEP) => Ok(Duration::from_secs(seconds)),
        _ => Err("write whole seconds or minutes up to an hour, such as 10s".to_owned()),
    }
}

pub(super) fn inject(arguments: &Arguments) -> u8 {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(problems) => return reject(&problems),
    };
    run(&arguments.place, |inputs| {
        outrigger_inject::inject(inputs, &options)
    })
}

pub(super) fn uninject(place: &Where) -> u8 {
    run(place, outrigger_inject::uninject)
}

/// The options of the command line, or all of their problems.
fn options(arguments: &Arguments) -> Result<Options, Vec<String>> {
    let mut options = Options::default();
    options.classic = arguments.classic;
    options.rewrite_probes = arguments.rewrite_probes;
    options.app_port = arguments.app_port;
    options.app_prestop_sleep = arguments.app_prestop_sleep;
    options.after_init.clone_from(&arguments.after_init);
    let set = arguments.set.iter();
    let mut wrong: Vec<String> = set
        .filter_map(|assignment| options.set(assignment).err())
        .map(|error| format!("error: --set {error}"))
        .collect();
    if let Some(path) = &arguments.config {
        let named = |key| {
            let mut set = arguments.set.iter();
            set.any(|assignment| {
                assignment
                    .split_once('=')
                    .is_some_and(|(name, _)| name == key)
            })
        };
        wrong.extend(
            ["config", "port", "statusPort"]
                .into_iter()
                .filter(|key| named(*key))
                .map(|key| {
                    format!("error: --set {key} and --config exclude each other: the file says it")
                }),
        );
        match Configuration::load(path) {
            Ok(config) => {
                print_error(&config.warnings);
                options.config = ConfigSource::Given(Box::new(config));
            }
            Err(problems) => wrong.extend(problems.iter().map(ToString::to_string)),
        }
    }
    if wrong.is_empty() {
        Ok(options)
    } else {
        Err(wrong)
    }
}

fn reject(problems: &[String]) -> u8 {
    for line in problems {
        print_error(format_args!("{line}\n"));
    }
    REFUSED
}

fn run(place: &Where, change: impl FnOnce(&[Input]) -> Result<Output, Vec<Problem>>) -> u8 {
    let found = match files::read(&place.files) {
        Ok(found) => found,
        Err(problems) => return reject(&problems),
    };
    let names = match &place.output {
        Some(folder) => match files::names(&found, folder) {
            Ok(names) => names,
            Err(problem) => return reject(&[problem]),
        },
        None => Vec::new(),
    };
    let (inputs, places): (Vec<Input>, Vec<Place>) = found
        .into_iter()
        .map(|Manifest { input, place }| (input, place))
        .unzip();
    let output = match change(&inputs) {
        Ok(output) => output,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return reject(&problems);
        }
    };
    let code = if place.dry_run {
        DONE
    } else if place.diff {
        print(&diff::unified(&inputs, &output.texts, color()))
    } else if place.output.is_some() {
        match files::write(&names, &output.texts) {
            Ok(()) => DONE,
            Err(error) => {
                print_error(format_args!("error: {error}\n"));
                return FAILED;
            }
        }
    } else {
        print(&files::joined(&output.texts, &places))
    };
    for line in &output.report {
        print_error(format_args!("{line}\n"));
    }
    code
}

/// Whether stdout supports colour.
fn color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
