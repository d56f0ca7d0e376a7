//! Child processes that end with this process: each is in its own process group, which is killed
//! when its [`Process`] is dropped.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Maximum time until a process listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Interval between two checks.
const START_PAUSE: Duration = Duration::from_millis(50);

/// Maximum length of a process's output in a table.
const LONGEST_WORDS: usize = 200;

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with its output in the log.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Result<Self, String> {
        let problem = |error: io::Error| format!("{}: {error}", log.display());
        let output = File::create(log).map_err(problem)?;
        let errors = output.try_clone().map_err(problem)?;
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|error| format!("cannot be started: {error}"))?;
        Ok(Self {
            child,
            log: log.to_path_buf(),
        })
    }

    /// Waits until it listens on the address.
    pub(crate) async fn listens(&mut self, address: SocketAddr) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            self.is_alive()?;
            if TcpStream::connect(address).await.is_ok() {
                // Another process may use the port while the new one is about to fail because of
                // that.
                return self.is_alive();
            }
            if begun.elapsed() > START_LIMIT {
                return Err(format!(
                    "does not listen after {START_LIMIT:?}: {}",
                    self.first_words()
                ));
            }
            sleep(START_PAUSE).await;
        }
    }

    /// The rest of the first log line with this prefix, once it exists.
    pub(crate) async fn says(&mut self, beginning: &str) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(beginning)) {
                return Ok(rest.to_owned());
            }
            self.is_alive()?;
            if begun.elapsed() > START_LIMIT {
                return Err(format!(
                    "does not start within {START_LIMIT:?}: {}",
                    self.first_words()
                ));
            }
            sleep(START_PAUSE).await;
        }
    }

    /// The rest of all log lines with this prefix.
    pub(crate) fn said(&self, beginning: &str) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .filter_map(|line| line.strip_prefix(beginning))
            .map(str::to_owned)
            .collect()
    }

    /// An error with its last output if it has ended.
    pub(crate) fn is_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("ended ({status}): {}", self.first_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Its process group, which also identifies its children.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// The first log line that reports a problem, else the first line.
    fn first_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
        let telling = lines().find(|line| line.to_lowercase().contains("error"));
        let words = telling.or_else(|| lines().next()).unwrap_or("no output");
        // Reports need not contain the path of the folder.
        let folder = self
            .log
            .parent()
            .map_or_else(String::new, |folder| format!("{}/", folder.display()));
        words
            .replace(&folder, "")
            .chars()
            .take(LONGEST_WORDS)
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has already ended is fine.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago: not every proxy can report a port that it
/// selected.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
