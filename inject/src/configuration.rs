//! The configuration of `--config FILE`, checked with the code of `outrigger check`.

use std::{net::IpAddr, path::Path, time::Duration};

use outrigger_config::{
    LoadError, Loaded, Severity, load_path,
    model::{AppAddress, Config, Direction},
};

use crate::problem::Problem;

/// Environment variables of the sidecar, with a sample value for the check of `${env:NAME}`.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("POD_NAME", "pod"),
    ("POD_NAMESPACE", "default"),
    ("POD_IP", "192.0.2.1"),
    ("NODE_NAME", "node"),
    ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
];

/// An accepted configuration, and the facts that a pod depends on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configuration {
    /// The text.
    pub text: String,
    /// Warnings of the check, rendered; empty if there are none.
    pub warnings: String,
    pub(crate) inbound: Vec<u16>,
    pub(crate) status: u16,
    pub(crate) admin: u16,
    pub(crate) app: App,
    pub(crate) drain: Drain,
}

/// The app's address in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    Port(u16),
    /// A Unix socket, or no app.
    NoPort,
}

/// The duration of a pod's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    pub(crate) delay: Duration,
    pub(crate) timeout: Duration,
    pub(crate) flush: Duration,
}

impl Default for Drain {
    /// The defaults of `lifecycle`.
    fn default() -> Self {
        drain_of(&outrigger_config::default_config())
    }
}

impl Configuration {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All problems: those of `outrigger check`, and settings that do not work in a pod.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let environment = |name: &str| {
            let known = ENVIRONMENT.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        };
        match load_path(path, &environment) {
            Ok(loaded) => Self::of(path, &loaded),
            Err(error) => Err(refused(&error)),
        }
    }

    fn of(path: &Path, loaded: &Loaded) -> Result<Self, Vec<Problem>> {
        let config = &loaded.config;
        let inbound: Vec<u16> = config
            .listeners
            .iter()
            .filter(|listener| listener.direction == Direction::Inbound)
            .map(|listener| listener.address.socket.port())
            .collect();
        let mut wrong = Vec::new();
        let mut say = |message: &str, help: &str| wrong.push(whole(path, message, help));
        if inbound.contains(&0) {
            say(
                "an inbound listener has port 0, and no Service could find it",
                "write the port",
            );
        }
        let status = config.status.map(|status| status.socket);
        if status.is_none_or(|socket| only_loopback(socket.ip()) || socket.port() == 0) {
            say(
                "the kubelet cannot ask the status server: it is off, on loopback, or has port 0",
                "write `status: { address: \"[::]:9902\" }`",
            );
        }
        if config.admin.is_none_or(|admin| admin.socket.port() == 0) {
            say(
                "`outrigger drain` in the preStop hook cannot reach the admin server: it is off, or has port 0",
                "write `admin: { address: \"127.0.0.1:9901\" }`",
            );
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            text: loaded.text.text().to_owned(),
            warnings: loaded.render_warnings(false),
            inbound,
            status: status.map_or(0, |socket| socket.port()),
            admin: config.admin.map_or(0, |admin| admin.socket.port()),
            app: app_of(config),
            drain: drain_of(config),
        })
    }
}

fn only_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

fn app_of(config: &Config) -> App {
    match config.app.as_ref().map(|app| &app.address) {
        Some(AppAddress::Tcp(address)) => App::Port(address.port()),
        Some(AppAddress::Unix(_)) | None => App::NoPort,
    }
}

fn drain_of(config: &Config) -> Drain {
    Drain {
        delay: config.lifecycle.shutdown_delay,
        timeout: config.lifecycle.drain_timeout,
        flush: config.lifecycle.log_flush_timeout,
    }
}

fn whole(path: &Path, message: &str, help: &str) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: 1,
        object: String::new(),
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

fn refused(error: &LoadError) -> Vec<Problem> {
    let errors = error
        .problems()
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| Problem {
            file: problem.file,
            line: problem.line,
            object: problem.path,
            message: problem.message,
            help: problem.help,
        })
        .collect()
}
