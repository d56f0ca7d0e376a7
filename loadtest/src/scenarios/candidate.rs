//! What load is sent through: nothing at all, or a proxy that is started for one measurement and killed after it.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::configure::{self, Wanted};

/// How long a proxy may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Pause between two looks whether it does.
const START_PAUSE: Duration = Duration::from_millis(50);

/// As much of what a proxy said as fits in a table.
const LONGEST_WORDS: usize = 200;

/// One way from the load to the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// Straight to the endpoints, each with its part of the load.
    Direct,
    /// Outrigger, at this path.
    Outrigger(PathBuf),
    /// HAProxy, at this path.
    Haproxy(PathBuf),
    /// Envoy, at this path.
    Envoy(PathBuf),
}

/// A proxy that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

impl Candidate {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Outrigger(_) => "outrigger",
            Self::Haproxy(_) => "haproxy",
            Self::Envoy(_) => "envoy",
        }
    }

    /// The first line it says about its version.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let (path, argument) = match self {
            Self::Direct => return None,
            Self::Haproxy(path) => (path, "-v"),
            Self::Outrigger(path) | Self::Envoy(path) => (path, "--version"),
        };
        let output = Command::new(path).arg(argument).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// The configuration, with the name of its file; `None` when this candidate cannot do what is wanted.
    pub(super) fn configuration(&self, wanted: &Wanted) -> Option<(&'static str, String)> {
        match self {
            Self::Direct => None,
            Self::Outrigger(_) => Some(("outrigger.yaml", configure::outrigger(wanted))),
            Self::Haproxy(_) => configure::haproxy(wanted).map(|text| ("haproxy.cfg", text)),
            Self::Envoy(_) => Some(("envoy.yaml", configure::envoy(wanted))),
        }
    }

    fn command(&self, file: &Path) -> Option<Command> {
        let (path, arguments): (_, &[&str]) = match self {
            Self::Direct => return None,
            Self::Outrigger(path) => (path, &["run", "-c"]),
            Self::Haproxy(path) => (path, &["-db", "-f"]),
            Self::Envoy(path) => {
                (path, &["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c"])
            }
        };
        let mut command = Command::new(path);
        command.args(arguments).arg(file);
        Some(command)
    }

    /// Writes the configuration, starts the proxy with it and waits until it listens.
    pub(super) async fn start(
        &self,
        folder: &Path,
        (name, text): (&str, &str),
        port: u16,
        round: usize,
    ) -> Result<Proxy, String> {
        let problem = |error: io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(problem)?;
        let (file, log) = (folder.join(name), folder.join(format!("round-{round}.log")));
        fs::write(&file, text).map_err(problem)?;
        let output = File::create(&log).map_err(problem)?;
        let errors = output.try_clone().map_err(problem)?;
        let mut command = self.command(&file).ok_or("has no command")?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.map_err(|error| format!("cannot be started: {error}"))?;
        let mut proxy = Proxy { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), log };
        proxy.listens().await?;
        Ok(proxy)
    }
}

impl Proxy {
    async fn listens(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            self.is_alive()?;
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > START_LIMIT {
                return Err(format!("does not listen after {START_LIMIT:?}"));
            }
            sleep(START_PAUSE).await;
        }
    }

    /// An error with what it said at the end when it has ended.
    pub(super) fn is_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("ended ({status}): {}", self.first_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The first line of the log that tells of a problem, else the first of all.
    fn first_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
        let telling = lines().find(|line| line.to_lowercase().contains("error"));
        let words = telling.or_else(|| lines().next()).unwrap_or("it said nothing");
        words.chars().take(LONGEST_WORDS).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago: not every proxy can tell which one it was given.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
