//! `monitor`: what the proxy reads about the app from outside of it, and what it requests from it.

pub(crate) mod checks;
pub(crate) mod process;
pub(crate) mod push;
pub(crate) mod scrape;

use std::{path::Path, sync::Arc};

use serde_json::Value;

use crate::{
    app::App,
    block::{
        At, block,
        problem::Report,
        show::{Object, list, path},
    },
    files::Files,
};

use checks::{Check, CheckBlock};
use process::{ProcessBlock, Processes};
use push::{OtlpPush, PushBlock};
use scrape::{Scrape, ScrapeBlock};

block! {
    /// What `/metrics` reports about the app apart from its traffic. The block alone, without keys, adds the listen queue and connections of the app's port, its processes, and their cgroup, as far as they are visible.
    MonitorBlock {
        /// The app's own page of metrics, merged into `/metrics`. Default: none.
        "scrape" scrape: ScrapeBlock,
        /// Which processes are the app. They are visible when the pod shares its PID namespace (`shareProcessNamespace: true`). Default: those that listen on the app's port, which can be found only when the proxy runs as the same user.
        "process" process: ProcessBlock,
        /// Where procfs is mounted. Default /proc.
        "procPath" proc_path: String,
        /// Where the cgroup hierarchies are mounted. Default /sys/fs/cgroup.
        "cgroupPath" cgroup_path: String,
        /// Servers that the app depends on, checked every `interval`. Default: none.
        "checks" checks: Vec<At<CheckBlock>>,
        /// Pushes the metrics to a collector. Default: none.
        "push" push: PushBlock,
    }
}

/// The `monitor` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Monitor {
    /// The app's own page of metrics.
    pub scrape: Option<Scrape>,
    /// Which processes are the app.
    pub processes: Processes,
    /// Where procfs is mounted. Default `/proc`.
    pub proc_path: Arc<Path>,
    /// Where the cgroup hierarchies are mounted. Default `/sys/fs/cgroup`.
    pub cgroup_path: Arc<Path>,
    /// Servers that the app depends on.
    pub checks: Vec<Check>,
    /// The collector that metrics are sent to.
    pub push: Option<OtlpPush>,
}

/// Where Linux distributions and container runtimes mount it.
const PROC: &str = "/proc";

/// Where Linux distributions and container runtimes mount it.
const CGROUP: &str = "/sys/fs/cgroup";

/// Checks the `monitor` block.
pub(crate) fn accept(
    block: &At<MonitorBlock>,
    app: Option<&App>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Monitor {
    let written = &block.value;
    let checks = checks::accept(written.checks.as_ref(), files, report);
    let push = written
        .push
        .as_ref()
        .and_then(|push| push::accept(push, files, report));
    let base = files.base();
    let folder = |key: &Option<At<String>>, default: &str| -> Arc<Path> {
        let folder = key.as_ref().map_or(default, |written| &written.value);
        base.join(folder).into()
    };
    let processes = process::accept(written.process.as_ref(), base, report);
    let scrape = written
        .scrape
        .as_ref()
        .and_then(|scrape| scrape::accept(scrape, app, report));
    let asks = written.scrape.is_some() || written.checks.is_some() || written.push.is_some();
    if app.is_none() && !asks && !processes.is_named() {
        let message = "there is no `app`, and `monitor` names nothing to monitor";
        let help = "add `app: { port: 8080 }`, or write `process: { command: … }`";
        report.missing(&block.place, &["scrape", "process"], message, help);
    }
    Monitor {
        scrape,
        processes,
        proc_path: folder(&written.proc_path, PROC),
        cgroup_path: folder(&written.cgroup_path, CGROUP),
        checks,
        push,
    }
}

/// Shows what was accepted.
pub(crate) fn show(monitor: &Monitor) -> Value {
    Object::new()
        .maybe("scrape", monitor.scrape.as_ref().map(scrape::show))
        .with("process", process::show(&monitor.processes))
        .with("procPath", path(&monitor.proc_path))
        .with("cgroupPath", path(&monitor.cgroup_path))
        .maybe("checks", list(&monitor.checks, checks::show))
        .maybe("push", monitor.push.as_ref().map(push::show))
        .into()
}
