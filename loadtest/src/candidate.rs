//! The candidates of a measurement: no proxy, or a proxy that is started for the measurement and
//! killed after it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Process;

/// Folders that are searched for programs in addition to `$PATH`: packages install servers outside
/// of a user's path.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];

/// A candidate: one path from the load to the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// Directly to the endpoints, each with a share of the load.
    Direct,
    /// Outrigger, with the path of its binary.
    Outrigger(PathBuf),
    /// Outrigger again, with the same path, without the features whose cost a scenario measures.
    Bare(PathBuf),
    /// HAProxy, with the path of its binary.
    Haproxy(PathBuf),
    /// nginx, with the path of its binary.
    Nginx(PathBuf),
    /// Envoy, with the path of its binary.
    Envoy(PathBuf),
    /// Caddy, with the path of its binary.
    Caddy(PathBuf),
    /// The proxy built with Pingora, with the path of its binary.
    Pingora(PathBuf),
}

impl Candidate {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Outrigger(_) => "outrigger",
            Self::Bare(_) => "outrigger-bare",
            Self::Haproxy(_) => "haproxy",
            Self::Nginx(_) => "nginx",
            Self::Envoy(_) => "envoy",
            Self::Caddy(_) => "caddy",
            Self::Pingora(_) => "pingora",
        }
    }

    /// The same program with fewer features: the reference in scenarios that measure the cost of
    /// Outrigger's own features.
    #[must_use]
    pub fn bare(&self) -> Option<Self> {
        match self {
            Self::Outrigger(path) => Some(Self::Bare(path.clone())),
            _ => None,
        }
    }

    /// The name of its program.
    fn program(&self) -> &'static str {
        match self {
            Self::Bare(_) => "outrigger",
            other => other.name(),
        }
    }

    /// Its binary.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Direct => None,
            Self::Outrigger(path)
            | Self::Bare(path)
            | Self::Haproxy(path)
            | Self::Nginx(path)
            | Self::Envoy(path)
            | Self::Caddy(path)
            | Self::Pingora(path) => Some(path),
        }
    }

    /// The first line of its version output.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let argument = match self {
            Self::Haproxy(_) | Self::Nginx(_) => "-v",
            Self::Caddy(_) => "version",
            _ => "--version",
        };
        let output = Command::new(self.path()?)
            .arg(argument)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        // nginx needs the path of its error log.
        let text =
            [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
        let line = text
            .iter()
            .flat_map(|part| part.lines())
            .map(str::trim)
            .find(|line| !line.is_empty())?;
        // Envoy prints its path, Caddy does not print its name.
        let line = line.replace(&*self.path()?.to_string_lossy(), "");
        let line = line.trim();
        let named = line.to_lowercase().starts_with(self.program());
        Some(if named {
            line.to_owned()
        } else {
            format!("{} {line}", self.program())
        })
    }

    /// The arguments before the configuration file, and environment variables.
    fn invocation(
        &self,
    ) -> (
        &'static [&'static str],
        Option<(&'static str, &'static str)>,
    ) {
        match self {
            Self::Direct | Self::Pingora(_) => (&[], None),
            Self::Outrigger(_) | Self::Bare(_) => (&["run", "-c"], None),
            Self::Haproxy(_) => (&["-db", "-f"], None),
            Self::Nginx(_) => (&["-c"], None),
            Self::Envoy(_) => (
                &[
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "-l",
                    "warning",
                    "-c",
                ],
                None,
            ),
            // One thread that runs Go code, because all other proxies have one worker thread.
            Self::Caddy(_) => (
                &["run", "--adapter", "caddyfile", "--config"],
                Some(("GOMAXPROCS", "1")),
            ),
        }
    }

    /// The command line as text, for reports.
    #[must_use]
    pub fn command_line(&self, file: &str) -> String {
        let (arguments, variable) = self.invocation();
        let variable =
            variable.map_or_else(String::new, |(name, value)| format!("{name}={value} "));
        let words: Vec<_> = [self.program()].iter().chain(arguments).copied().collect();
        format!("{variable}{} {file}", words.join(" "))
    }

    /// Writes the configuration and starts the proxy with it.
    pub(crate) fn spawn(
        &self,
        folder: &Path,
        (name, text): (&str, &str),
        log: &str,
    ) -> Result<Process, String> {
        let path = self.path().ok_or("has no command")?;
        let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(problem)?;
        // Absolute paths, for proxies that resolve paths relative to their own folder.
        let folder = fs::canonicalize(folder).map_err(problem)?;
        let file = folder.join(name);
        fs::write(&file, text).map_err(problem)?;
        let (arguments, variable) = self.invocation();
        let mut command = Command::new(path);
        // Caddy stores state in the folders of its user.
        command
            .args(arguments)
            .arg(&file)
            .env("XDG_DATA_HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder);
        command.envs(variable);
        Process::spawn(command, &folder.join(log))
    }
}

/// Outrigger at the given path, else beside this program, where a build puts it.
#[must_use]
pub(crate) fn find_outrigger(given: Option<&Path>) -> Option<PathBuf> {
    let beside = || {
        env::current_exe()
            .ok()
            .map(|program| program.with_file_name("outrigger"))
    };
    given
        .map(Path::to_path_buf)
        .or_else(beside)
        .filter(|path| path.is_file())
}

/// A program at the given path, else by its name in the usual folders.
#[must_use]
pub(crate) fn find(given: Option<&Path>, name: &str) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_path_buf()).filter(|path| path.is_file());
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&paths).chain(PLACES.iter().map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|place| place.is_file())
}
