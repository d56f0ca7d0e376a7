//! What is injected, and how.

use std::{collections::BTreeMap, time::Duration};

use crate::{configuration::Configuration, quantity};

/// Port of the proxy for clients.
const PORT: u16 = 8000;
/// Port of the proxy for the kubelet and Prometheus.
const STATUS_PORT: u16 = 9902;
/// The admin server of the proxy, on loopback.
pub(crate) const ADMIN_PORT: u16 = 9901;

/// What is injected, and how. [`Options::default`] is a native sidecar with a configuration of its own for each workload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The image of the sidecar.
    pub image: String,
    /// Port of the proxy that Services send to. Default 8000.
    pub port: u16,
    /// Port for the kubelet and Prometheus. Default 9902.
    pub status_port: u16,
    /// Requests and limits of the sidecar.
    pub resources: Resources,
    /// Where the sidecar has its configuration from.
    pub config: ConfigSource,
    /// A plain container, for clusters before 1.29.
    pub classic: bool,
    /// The app's port in every workload; by default an annotation or the only TCP port says it.
    pub app_port: Option<u16>,
    /// How long the app's container waits before it is ended, in whole seconds.
    pub app_prestop_sleep: Option<Duration>,
    /// Probes of the app's port go through the sidecar's status port.
    pub rewrite_probes: bool,
    /// The sidecar stands behind the init container of this name, where a pod has it.
    pub after_init: Option<String>,
}

/// Where the sidecar has its configuration from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConfigSource {
    /// A ConfigMap beside each workload: the app's port, and defaults.
    Generated,
    /// A ConfigMap beside each workload, with this text.
    Given(Box<Configuration>),
    /// A ConfigMap that is already there.
    ConfigMap(String),
    /// A Secret that is already there.
    Secret(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image: format!("outrigger:{}", env!("CARGO_PKG_VERSION")),
            port: PORT,
            status_port: STATUS_PORT,
            resources: Resources::default(),
            config: ConfigSource::Generated,
            classic: false,
            app_port: None,
            app_prestop_sleep: None,
            rewrite_probes: false,
            after_init: None,
        }
    }
}

/// Requests and limits by the name of the resource, as Kubernetes writes quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// What is reserved. Default cpu 20m, memory 24Mi.
    pub requests: BTreeMap<String, String>,
    /// What may be used. Default memory 64Mi, and no limit for cpu: throttling would only add latency.
    pub limits: BTreeMap<String, String>,
}

impl Default for Resources {
    fn default() -> Self {
        let map = |entries: &[(&str, &str)]| {
            let entries = entries
                .iter()
                .map(|(name, quantity)| ((*name).to_owned(), (*quantity).to_owned()));
            entries.collect()
        };
        Self {
            requests: map(&[("cpu", "20m"), ("memory", "24Mi")]),
            limits: map(&[("memory", "64Mi")]),
        }
    }
}

/// What `--set` takes.
const KEYS: &str = "image, port, statusPort, config, resources.requests.cpu, resources.requests.memory, \
                    resources.limits.cpu, resources.limits.memory, resources.requests, resources.limits, resources";

impl Options {
    /// Takes one `key=value` of `--set`. `null` leaves a resource, or all of them, away.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(format!("{assignment:?} has no `=`; write key=value"));
        };
        match key {
            "image" if value.is_empty() || value.contains(char::is_whitespace) => Err(format!(
                "{value:?} is no image; write image=registry.example.com/outrigger:0.1.0"
            )),
            "image" => {
                value.clone_into(&mut self.image);
                Ok(())
            }
            "port" => port(key, value).map(|port| self.port = port),
            "statusPort" => port(key, value).map(|port| self.status_port = port),
            "config" => config(value).map(|config| self.config = config),
            _ => match key.strip_prefix("resources") {
                Some(rest) => self.resources.set(rest, value),
                None => Err(format!("{key:?} is unknown; --set takes {KEYS}")),
            },
        }
    }

    /// What does not fit together.
    ///
    /// # Errors
    /// Each problem.
    pub(crate) fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = self.resources.too_much();
        if [self.status_port, ADMIN_PORT].contains(&self.port) || self.status_port == ADMIN_PORT {
            wrong.push(format!(
                "port {}, statusPort {} and the admin port {ADMIN_PORT} must differ; choose others with --set",
                self.port, self.status_port
            ));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

fn port(key: &str, value: &str) -> Result<u16, String> {
    match value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{key}={value} is no port; write 1 to 65535")),
    }
}

fn config(value: &str) -> Result<ConfigSource, String> {
    let name = |name: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        (!name.is_empty() && name.len() <= 253 && name.chars().all(fits)).then(|| name.to_owned())
    };
    match value.split_once('/') {
        Some(("configmap", rest)) => name(rest).map(ConfigSource::ConfigMap),
        Some(("secret", rest)) => name(rest).map(ConfigSource::Secret),
        _ => None,
    }
    .ok_or_else(|| {
        format!("config={value} names nothing; write config=configmap/NAME or config=secret/NAME")
    })
}

impl Resources {
    fn set(&mut self, rest: &str, value: &str) -> Result<(), String> {
        let away = value == "null";
        let parts: Vec<&str> = rest.split('.').skip(1).collect();
        match parts[..] {
            [] if rest.is_empty() && away => {
                self.requests.clear();
                self.limits.clear();
                return Ok(());
            }
            ["requests"] if away => self.requests.clear(),
            ["limits"] if away => self.limits.clear(),
            [side @ ("requests" | "limits"), name @ ("cpu" | "memory")] => {
                let map = match side {
                    "requests" => &mut self.requests,
                    _ => &mut self.limits,
                };
                if away {
                    map.remove(name);
                } else if quantity::parse(value).is_some() {
                    map.insert(name.to_owned(), value.to_owned());
                } else {
                    return Err(format!("{value:?} is no quantity; write 20m, 64Mi or null"));
                }
            }
            _ => {
                return Err(format!(
                    "\"resources{rest}={value}\" is unknown; --set takes {KEYS}"
                ));
            }
        }
        Ok(())
    }

    /// Requests over their limit, which the API server refuses.
    fn too_much(&self) -> Vec<String> {
        let over = self.requests.iter().filter_map(|(name, request)| {
            let limit = self.limits.get(name)?;
            let over = quantity::parse(request) > quantity::parse(limit);
            over.then(|| {
                format!(
                    "resources.requests.{name} is {request}, more than resources.limits.{name}, {limit}; change one with --set, \
                     or leave the limit away with resources.limits.{name}=null"
                )
            })
        });
        over.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_set_is_refused_with_what_can() {
        for (written, expected) in [
            ("image", "has no `=`"),
            ("image=", "is no image"),
            ("port=0", "is no port"),
            ("port=http", "is no port"),
            ("tag=1", "--set takes image"),
            ("config=x", "config=configmap/NAME"),
            ("config=configmap/X", "config=configmap/NAME"),
            ("resources.limits.memory=64 Mi", "is no quantity"),
            ("resources.limits.gpu=1", "--set takes"),
            ("resources.limits=1", "--set takes"),
            ("resourcesx=null", "--set takes"),
        ] {
            let error = Options::default().set(written).unwrap_err();
            assert!(error.contains(expected), "{written}: {error}");
        }
    }

    #[test]
    fn a_request_never_exceeds_its_limit() {
        let mut options = Options::default();
        options.set("resources.limits.cpu=0").unwrap();
        assert!(options.check().unwrap_err()[0].contains("resources.requests.cpu is 20m"));
        options.set("resources.limits.cpu=null").unwrap();
        assert!(options.check().is_ok());
        options.set("resources=null").unwrap();
        assert!(options.resources.requests.is_empty() && options.resources.limits.is_empty());
    }
}
