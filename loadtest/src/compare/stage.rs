//! The environment of the candidates in every scenario: origins, certificates, tokens, folders,
//! CPUs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::configure::{Setup, Upstream, Wanted, configuration};
use super::pin::Cpus;
use super::{Missing, StartError, material};
use crate::candidate::Candidate;
use crate::process::{Process, free_port};

/// Timeout for reading the counters of an origin.
const STATS_LIMIT: Duration = Duration::from_secs(10);

/// The Unix socket of the origin, in the folder of the run. Its path must be short.
const SOCKET: &str = "origin.sock";

/// The arguments of an origin on a port.
const ON_A_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// The environment, available until it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    /// The own binary, which is also load and origin.
    pub(super) program: PathBuf,
    pub(super) cpus: Cpus,
    pub(super) folder: PathBuf,
    pub(super) material: PathBuf,
    origin: Origin,
    socket: PathBuf,
    unix: Origin,
}

/// Origin processes, and how to read their counters.
#[derive(Debug)]
pub(super) struct Origin {
    // Stops the processes when dropped.
    processes: Vec<Process>,
    addresses: Vec<SocketAddr>,
    stats: Vec<Stats>,
}

#[derive(Debug)]
enum Stats {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The upstream of a scenario: an origin of the stage, or a separate one.
#[derive(Debug)]
pub(super) enum Behind<'a> {
    Shared(&'a Origin),
    Own(Origin),
}

/// A running proxy.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

impl Stage {
    /// Creates the folder and its content, and starts the origins.
    pub(super) async fn set(
        program: PathBuf,
        folder: &Path,
        cpus: Cpus,
    ) -> Result<Self, StartError> {
        let material = folder.join("material");
        material::make(&material)?;
        let problem = |source: io::Error| StartError::Folder {
            path: folder.to_path_buf(),
            source,
        };
        let folder = std::fs::canonicalize(folder).map_err(problem)?;
        let material = folder.join("material");
        cpus.stay();
        let socket = folder.join(SOCKET);
        // Left behind by a run that was killed.
        let _ = std::fs::remove_file(&socket);
        let log = folder.join("origin.log");
        let origin = Origin::start(&program, &ON_A_PORT, &log, None)
            .await
            .map_err(StartError::Origin)?;
        let (log, path) = (folder.join("unix.log"), socket.display().to_string());
        let (words, stats) = (["--unix", &path], Some(Stats::Unix(socket.clone())));
        let unix = Origin::start(&program, &words, &log, stats)
            .await
            .map_err(StartError::Origin)?;
        Ok(Self {
            program,
            cpus,
            folder,
            material,
            origin,
            socket,
            unix,
        })
    }

    /// The upstream of a scenario's proxies.
    pub(super) async fn behind(&self, setup: &Setup) -> Result<Behind<'_>, String> {
        let log = self.folder.join("endpoints.log");
        match setup.upstream {
            Upstream::Http | Upstream::Grpc | Upstream::Socket => Ok(Behind::Shared(&self.origin)),
            Upstream::Failing => {
                let words = ["a fail=20%", "b"].map(str::to_owned);
                Origin::endpoints(&self.program, &words, &log)
                    .await
                    .map(Behind::Own)
            }
            Upstream::Pair => Origin::pair(&self.program, &self.folder)
                .await
                .map(Behind::Own),
            Upstream::Endpoints(count) => {
                let words: Vec<_> = (0..count).map(|number| format!("e{number}")).collect();
                Origin::endpoints(&self.program, &words, &log)
                    .await
                    .map(Behind::Own)
            }
        }
    }

    /// The origin that this candidate's requests reach in this scenario.
    pub(super) fn reached<'a>(
        &'a self,
        behind: &'a Behind<'_>,
        setup: &Setup,
        candidate: &Candidate,
    ) -> &'a Origin {
        match candidate {
            Candidate::Haproxy(_) | Candidate::Direct => behind.origin(),
            _ if setup.upstream == Upstream::Socket => &self.unix,
            _ => behind.origin(),
        }
    }

    /// Requests that all origins of a scenario have received so far.
    pub(super) async fn received(&self, behind: &Behind<'_>) -> Result<f64, String> {
        Ok(behind.origin().received().await? + self.unix.received().await?)
    }

    /// Starts a candidate on the proxy's CPU.
    pub(super) async fn start(
        &self,
        candidate: &Candidate,
        setup: &Setup,
        behind: &Behind<'_>,
        place: &str,
    ) -> Result<Started, Missing> {
        let not_run = |error: io::Error| Missing::NotRun(error.to_string());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().map_err(not_run)?));
        let folder = self.folder.join(place).join(candidate.name());
        std::fs::create_dir_all(&folder).map_err(not_run)?;
        let wanted = Wanted {
            setup,
            listen: address,
            upstreams: behind.addresses(),
            socket: &self.socket,
            material: &self.material,
            folder: &folder,
        };
        let files = configuration(candidate, &wanted).map_err(Missing::Unable)?;
        let Some((main, others)) = files.split_first() else {
            return Err(Missing::Unable("has no files"));
        };
        for (name, text) in others {
            std::fs::write(folder.join(name), text).map_err(not_run)?;
        }
        let spawned = self.cpus.for_proxy(|| {
            candidate.spawn(
                &folder,
                (main.0, &main.1),
                &format!("{}.log", candidate.name()),
            )
        });
        let mut process = spawned.map_err(Missing::NotRun)?;
        process.listens(address).await.map_err(Missing::NotRun)?;
        Ok(Started { process, address })
    }
}

impl Origin {
    async fn start(
        program: &Path,
        words: &[&str],
        log: &Path,
        stats: Option<Stats>,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg("origin").args(words);
        let mut process = Process::spawn(command, log)?;
        match stats {
            Some(stats) => {
                process.says("listening unix=").await?;
                Ok(Self {
                    processes: vec![process],
                    addresses: Vec::new(),
                    stats: vec![stats],
                })
            }
            None => {
                let address = process.says("listening address=").await?;
                let address = address
                    .parse()
                    .map_err(|_| format!("{address:?} is not an address"))?;
                let (addresses, stats) = (vec![address], vec![Stats::Tcp(address)]);
                Ok(Self {
                    processes: vec![process],
                    addresses,
                    stats,
                })
            }
        }
    }

    /// The two origins of the stage.
    async fn pair(program: &Path, folder: &Path) -> Result<Self, String> {
        let mut both = Self::start(program, &ON_A_PORT, &folder.join("first.log"), None).await?;
        let second = Self::start(program, &ON_A_PORT, &folder.join("second.log"), None).await?;
        both.processes.extend(second.processes);
        both.addresses.extend(second.addresses);
        both.stats.extend(second.stats);
        Ok(both)
    }

    /// Simulated endpoints, as `outrigger-loadtest simulate` has them.
    async fn endpoints(program: &Path, words: &[String], log: &Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg("simulate");
        words.iter().for_each(|word| {
            command.args(["--endpoint", word]);
        });
        let mut process = Process::spawn(command, log)?;
        let control = process.says("listening control=").await?;
        let control = control
            .parse()
            .map_err(|_| format!("{control:?} is not an address"))?;
        let lines = process.said("listening name=");
        let addresses = lines
            .iter()
            .filter_map(|line| line.split_once("address=")?.1.parse().ok())
            .collect();
        Ok(Self {
            processes: vec![process],
            addresses,
            stats: vec![Stats::Tcp(control)],
        })
    }

    /// Requests that it has received so far.
    pub(super) async fn received(&self) -> Result<f64, String> {
        let mut all = 0.0;
        for stats in &self.stats {
            all += stats.requests().await?;
        }
        Ok(all)
    }
}

impl Stats {
    /// Requests that were counted so far.
    async fn requests(&self) -> Result<f64, String> {
        let asked = async {
            match self {
                Self::Tcp(address) => ask(TcpStream::connect(address).await?).await,
                Self::Unix(path) => ask(UnixStream::connect(path).await?).await,
            }
        };
        let text = timeout(STATS_LIMIT, asked)
            .await
            .map_err(|_| "the origin does not respond".to_owned())?;
        let text = text.map_err(|error| format!("the origin: {error}"))?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let value: Value =
            serde_json::from_str(body).map_err(|error| format!("the origin: {error}"))?;
        value["requests"]
            .as_f64()
            .ok_or_else(|| "the origin returns no counters".to_owned())
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    stream
        .write_all(b"GET /stats HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n\r\n")
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

impl Behind<'_> {
    pub(super) fn origin(&self) -> &Origin {
        match self {
            Self::Shared(origin) => origin,
            Self::Own(origin) => origin,
        }
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.origin().addresses
    }
}
