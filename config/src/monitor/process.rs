//! `monitor.process`: which processes are the app.

use std::{path::Path, sync::Arc, time::Duration};

use crate::block::{
    At, Time, block,
    field::time,
    problem::Report,
    show::{self, Object, path, text},
};

block! {
    /// Which processes are the app; their children count with them. `command` and `pidFile` exclude each other.
    ProcessBlock {
        /// The name of the program: the file name of its first argument, such as `orders` for `/usr/bin/orders -v`, or its name in the kernel (`comm`).
        "command" command: String,
        /// A file with the PID of the app, relative to this file.
        "pidFile" pid_file: String,
        /// How long a reading is cached, so that several scrapers cost no more than one. 0s reads for each page. Default 1s.
        "interval" interval: Time,
    }
}

/// `monitor.process`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processes {
    /// How they are recognised.
    pub select: ProcessSelect,
    /// How long a reading is cached. Default 1 s.
    pub interval: Duration,
}

/// How the app's processes are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessSelect {
    /// They listen on the app's port.
    Listener,
    /// By the name of the program.
    Command(Arc<str>),
    /// By a file that has the PID.
    PidFile(Arc<Path>),
}

impl Processes {
    /// Whether they can be found without knowing where the app listens.
    pub(crate) fn is_named(&self) -> bool {
        self.select != ProcessSelect::Listener
    }
}

/// Two scrapers of one pod come within moments of each other, or not at all.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks the block.
pub(crate) fn accept(
    block: Option<&At<ProcessBlock>>,
    base: &Path,
    report: &mut Report,
) -> Processes {
    let Some(At { value: block, .. }) = block else {
        return Processes {
            select: ProcessSelect::Listener,
            interval: INTERVAL,
        };
    };
    if let (Some(_), Some(file)) = (&block.command, &block.pid_file) {
        let message = "`command` and `pidFile` exclude each other";
        report.error(
            &file.place,
            "conflicting-keys",
            message,
            "keep exactly one of them",
        );
    }
    let select = match (&block.command, &block.pid_file) {
        (Some(command), _) => ProcessSelect::Command(self::command(command, report)),
        (None, Some(file)) => ProcessSelect::PidFile(base.join(&file.value).into()),
        (None, None) => ProcessSelect::Listener,
    };
    Processes {
        select,
        interval: time(&block.interval, INTERVAL),
    }
}

fn command(written: &At<String>, report: &mut Report) -> Arc<str> {
    let command = &written.value;
    if command.is_empty() || command.contains('/') {
        let message = format!("{command:?} is not the name of a program");
        let help = match command.rsplit('/').next() {
            Some(name) if !name.is_empty() => format!("write {name}"),
            _ => "write the file name of the program, such as orders".to_owned(),
        };
        report.error(&written.place, "bad-name", message, help);
    }
    command.as_str().into()
}

/// Shows what was accepted.
pub(crate) fn show(processes: &Processes) -> Object {
    let object = match &processes.select {
        ProcessSelect::Listener => Object::new(),
        ProcessSelect::Command(command) => Object::new().with("command", text(command)),
        ProcessSelect::PidFile(file) => Object::new().with("pidFile", path(file)),
    };
    object.with("interval", show::time(processes.interval))
}
