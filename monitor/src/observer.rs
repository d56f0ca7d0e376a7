//! One reading of everything, when it is asked for.

use outrigger_config::model::AppAddress;

use crate::{
    cgroup::{self, Cgroup},
    process::{Processes, Select, Watch},
    roots::Roots,
    sockets::{self, Sockets},
};

/// What is read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folders of the kernel's files.
    pub roots: Roots,
    /// Where the app listens.
    pub app: Option<AppAddress>,
    /// How its processes are recognised.
    pub select: Select,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The sockets of the app's address.
    pub sockets: Option<Sockets>,
    /// Its processes. Where no process was ever seen, `None`: nothing is known then.
    pub processes: Option<Processes>,
    /// The cgroup of its main process, and that of the pod, where they are visible.
    pub cgroups: Vec<Cgroup>,
}

/// Reads again and again; keeps what counters need.
#[derive(Debug)]
pub struct Observer {
    settings: Settings,
    processes: Watch,
    /// Whether a process was ever seen.
    seen: bool,
}

impl Observer {
    /// Reads nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            processes: Watch::new(settings.select.clone()),
            settings,
            seen: false,
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads everything. Takes some files of the kernel; never waits for anything else.
    pub fn read(&mut self) -> Reading {
        let roots = &self.settings.roots;
        let app = self.settings.app.as_ref();
        let sockets = app.and_then(|app| sockets::read(roots, app));
        let inodes = sockets.as_ref().map_or(&[][..], |sockets| &sockets.inodes);
        let processes = self.processes.read(roots, inodes);
        self.seen |= processes.count > 0;
        Reading {
            cgroups: cgroup::read_cgroups(roots, processes.main),
            processes: self.seen.then_some(processes),
            sockets,
        }
    }
}
