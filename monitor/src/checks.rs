//! Active checks: servers that the app depends on, asked every `interval` with the probes of `healthCheck`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use outrigger_config::model::{Check, CheckKind, EndpointAddress};
use outrigger_transport::{
    dns::Resolver,
    probe::{self, Cause, Target},
    race,
    tls::{certificate, client::Handshaker},
};
use regex::bytes::Regex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// The pattern of a body is looked for in this many bytes.
const BODY_BYTES: usize = 64 * 1024;

/// The first checks come within this time, so that many are not sent at once.
const FIRST: Duration = Duration::from_secs(1);

/// What the last check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it failed; `None` when it did not.
    pub failure: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub at: Instant,
    /// When the certificate of the server expires, in seconds since 1970; `None` without TLS, or without a handshake.
    pub certificate_expiry: Option<i64>,
}

/// What is known of one check.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: Arc<str>,
    /// How often it succeeded, and how often it failed.
    pub counts: [u64; 2],
    /// The last one; `None` before the first has ended.
    pub last: Option<Outcome>,
}

/// Checks that run, and end with this.
#[derive(Default)]
pub struct Checks {
    running: Vec<Arc<Running>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Running {
    check: Check,
    /// TLS, or why it cannot be spoken: then each check fails with that.
    tls: Result<Option<Handshaker>, String>,
    body: Result<Option<Regex>, String>,
    resolver: Arc<Resolver>,
    counts: [AtomicU64; 2],
    last: Mutex<Option<Outcome>>,
}

impl Checks {
    /// Begins to check, on the current runtime.
    pub fn start(checks: &[Check], resolver: &Arc<Resolver>) -> Self {
        let running: Vec<_> = checks
            .iter()
            .map(|check| Arc::new(Running::new(check, resolver)))
            .collect();
        let tasks = running
            .iter()
            .map(|one| tokio::spawn(Arc::clone(one).run()))
            .collect();
        Self { running, tasks }
    }

    /// What is known now, in the order of the configuration.
    pub fn reports(&self) -> Vec<Report> {
        self.running.iter().map(|one| one.report()).collect()
    }
}

impl Running {
    fn new(check: &Check, resolver: &Arc<Resolver>) -> Self {
        let build = match &check.kind {
            CheckKind::Http { .. } => Handshaker::build,
            CheckKind::Grpc { .. } => Handshaker::http2,
            CheckKind::Tcp => Handshaker::other,
        };
        let tls = check.tls.as_deref().map(build).transpose();
        let body = match &check.kind {
            CheckKind::Http {
                body: Some(pattern),
                ..
            } => Some(Regex::new(pattern)),
            _ => None,
        };
        Self {
            check: check.clone(),
            tls: tls.map_err(|error| error.to_string()),
            body: body.transpose().map_err(|error| error.to_string()),
            resolver: Arc::clone(resolver),
            counts: Default::default(),
            last: Mutex::default(),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> Report {
        Report {
            name: Arc::clone(&self.check.name),
            counts: [0, 1].map(|index: usize| self.counts[index].load(Relaxed)),
            last: self.last().clone(),
        }
    }

    async fn run(self: Arc<Self>) {
        sleep(FIRST.min(self.check.interval).mul_f64(fastrand::f64())).await;
        loop {
            self.check_once().await;
            // Give or take a tenth, so that proxies do not ask together.
            sleep(self.check.interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        }
    }

    async fn check_once(&self) {
        let limit = self.check.timeout;
        let began = Instant::now();
        let mut expiry = None;
        let result = match timeout(limit, self.ask(&mut expiry)).await {
            Ok(result) => result.map_err(|cause| cause.to_string()),
            Err(_) => Err(format!("no answer within {limit:?}")),
        };
        let failure = result.err();
        self.counts[usize::from(failure.is_some())].fetch_add(1, Relaxed);
        let outcome = Outcome {
            failure: failure.clone(),
            took: began.elapsed(),
            at: Instant::now(),
            certificate_expiry: expiry,
        };
        let before = self.last().replace(outcome);
        let failed_before = before.is_some_and(|last| last.failure.is_some());
        let name = &self.check.name;
        match failure {
            Some(why) if !failed_before => tracing::warn!(check = %name, "check failed: {why}"),
            None if failed_before => tracing::info!(check = %name, "check succeeds again"),
            _ => {}
        }
    }

    async fn ask(&self, expiry: &mut Option<i64>) -> Result<(), Cause> {
        let endpoint = &self.check.endpoint;
        let stream = match &endpoint.address {
            EndpointAddress::Socket(address) => TcpStream::connect(address).await?,
            EndpointAddress::Host { name, port } => {
                let addresses = self.resolver.sockets(name, *port).await?;
                race::connect(addresses).await?.0
            }
            EndpointAddress::Unix(path) => {
                return self.speak(UnixStream::connect(path.as_path()).await?).await;
            }
        };
        stream.set_nodelay(true)?; // HTTP/2 begins with several small frames
        let Some(tls) = self.tls.as_ref().map_err(String::as_str)? else {
            return self.speak(stream).await;
        };
        let stream = tls.handshake(stream, host(&endpoint.authority)).await?;
        *expiry = stream.get_ref().1.peer_certificates().and_then(|chain| {
            let leaf = certificate::parse(chain.first()?).ok()?;
            Some(leaf.validity().not_after.timestamp())
        });
        self.speak(stream).await
    }

    async fn speak<S>(&self, stream: S) -> Result<(), Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let target = Target {
            scheme: if self.check.tls.is_some() {
                "https"
            } else {
                "http"
            },
            host: &self.check.endpoint.authority,
        };
        match &self.check.kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Grpc { service } => probe::grpc(stream, target, service).await,
            CheckKind::Http { path, statuses, .. } => {
                let pattern = self.body.as_ref().map_err(String::as_str)?.as_ref();
                let limit = if pattern.is_some() { BODY_BYTES } else { 0 };
                let judge = |status, body: &[u8]| judge(path, statuses, pattern, status, body);
                probe::http1_judged(stream, target, path, limit, judge).await
            }
        }
    }
}

fn judge(
    path: &str,
    statuses: &[StatusCode],
    pattern: Option<&Regex>,
    status: StatusCode,
    body: &[u8],
) -> Result<(), Cause> {
    let is_expected = match statuses {
        [] => status.is_success() || status.is_redirection(),
        some => some.contains(&status),
    };
    if !is_expected {
        return Err(format!("{path} answered {}", status.as_u16()).into());
    }
    match pattern.is_none_or(|pattern| pattern.is_match(body)) {
        true => Ok(()),
        false => Err(format!("the body of {path} does not match").into()),
    }
}

/// The host of an authority, without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}
