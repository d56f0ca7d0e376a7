//! The ports of the proxy and of the app.

use super::{Pod, container::apps};
use crate::{
    configuration::App,
    options::{ADMIN_PORT, ConfigSource, Options},
    problem::Wrong,
    record::APP_PORT,
};

/// The ports of a pod with a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ports {
    /// The proxy's ports for clients, the one for Services first.
    pub(crate) inbound: Vec<u16>,
    pub(crate) status: u16,
    pub(crate) admin: u16,
    /// The app's port; `None` if the configuration has no app, or a Unix socket.
    pub(crate) app: Option<u16>,
}

impl Ports {
    /// The port for Services; 0 if there is none.
    pub(crate) fn proxy(&self) -> u16 {
        self.inbound.first().copied().unwrap_or(0)
    }

    /// The names and numbers of the sidecar's ports.
    pub(crate) fn named(&self) -> Vec<(String, u16)> {
        let inbound = self
            .inbound
            .iter()
            .enumerate()
            .map(|(index, port)| match index {
                0 => ("proxy-http".to_owned(), *port),
                _ => (format!("proxy-{port}"), *port),
            });
        inbound
            .chain([("proxy-status".to_owned(), self.status)])
            .collect()
    }
}

/// Determines the ports.
///
/// # Errors
/// The app's port cannot be determined, or two sources disagree.
pub(super) fn find(pod: &Pod<'_, '_>, options: &Options) -> Result<Ports, Wrong> {
    let app = app_port(pod, options)?;
    Ok(match &options.config {
        ConfigSource::Given(config) => Ports {
            inbound: config.inbound.clone(),
            status: config.status,
            admin: config.admin,
            app,
        },
        _ => Ports {
            inbound: vec![options.port],
            status: options.status_port,
            admin: ADMIN_PORT,
            app,
        },
    })
}

fn app_port(pod: &Pod<'_, '_>, options: &Options) -> Result<Option<u16>, Wrong> {
    let said = match options.app_port {
        Some(port) => Some((port, "--app-port")),
        None => annotated(pod)?.map(|port| (port, "the annotation outrigger/app-port")),
    };
    if let ConfigSource::Given(config) = &options.config {
        return match (config.app, said) {
            (App::Port(port), Some((other, by))) if port != other => {
                let message =
                    format!("{by} says {other}, and the configuration has `app.port: {port}`");
                Err(Wrong::new(
                    pod.line(),
                    message,
                    "make them equal, or leave one away",
                ))
            }
            (App::Port(port), _) => Ok(Some(port)),
            (App::NoPort, Some((port, by))) => {
                let message = format!("{by} says {port}, and the configuration has no `app.port`");
                Err(Wrong::new(
                    pod.line(),
                    message,
                    "write `app: { port: … }` there, or leave it away here",
                ))
            }
            (App::NoPort, None) => Ok(None),
        };
    }
    match said {
        Some((port, _)) => Ok(Some(port)),
        None => only_port(pod).map(Some),
    }
}

fn annotated(pod: &Pod<'_, '_>) -> Result<Option<u16>, Wrong> {
    let Some(text) = pod.annotation(APP_PORT) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Wrong::new(
            pod.line(),
            format!("the annotation {APP_PORT} is {text:?}, which is no port"),
            "write 1 to 65535, in quotes",
        )),
    }
}

fn only_port(pod: &Pod<'_, '_>) -> Result<u16, Wrong> {
    let mut found: Vec<(u16, String)> = Vec::new();
    for container in apps(pod) {
        for port in container.ports(pod.tree) {
            let Some(number) = port.number.filter(|_| port.tcp) else {
                continue;
            };
            if !found.iter().any(|(known, _)| *known == number) {
                let name = port.name.map(|name| format!("{name} ")).unwrap_or_default();
                found.push((
                    number,
                    format!("{name}{number} of {}", container.name(pod.tree)),
                ));
            }
        }
    }
    let help =
        "name it with --app-port, or with the annotation outrigger/app-port of the pod template";
    match &found[..] {
        [(port, _)] => Ok(*port),
        [] => Err(Wrong::new(
            pod.line(),
            "the app's port is not known: no container declares a TCP port",
            help,
        )),
        several => {
            let list: Vec<_> = several.iter().map(|(_, text)| text.as_str()).collect();
            let message = format!(
                "the app's port is not known: candidates are {}",
                list.join(", ")
            );
            Err(Wrong::new(pod.line(), message, help))
        }
    }
}
