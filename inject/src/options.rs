//! The options of an injection.

use std::{collections::BTreeMap, time::Duration};

use crate::{configuration::Configuration, quantity};

/// The proxy's port for clients.
const PORT: u16 = 8000;
/// The proxy's port for the kubelet and Prometheus.
const STATUS_PORT: u16 = 9902;
/// The admin server of the proxy, on loopback.
pub(crate) const ADMIN_PORT: u16 = 9901;

/// The options of an injection. [`Options::default`] is a native sidecar with a generated
/// configuration for each workload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The image of the sidecar.
    pub image: String,
    /// The proxy's port for Services. Default 8000.
    pub port: u16,
    /// Port for the kubelet and Prometheus. Default 9902.
    pub status_port: u16,
    /// Requests and limits of the sidecar.
    pub resources: Resources,
    /// The source of the sidecar's configuration.
    pub config: ConfigSource,
    /// Use a plain container, for clusters before 1.29.
    pub classic: bool,
    /// The app's port in every workload; by default it comes from an annotation or is the only TCP
    /// port.
    pub app_port: Option<u16>,
    /// The `preStop` sleep of the app's container, in whole seconds.
    pub app_prestop_sleep: Option<Duration>,
    /// Send probes of the app's port through the sidecar's status port.
    pub rewrite_probes: bool,
    /// Insert the sidecar after the init container with this name, if a pod has it.
    pub after_init: Option<String>,
}

/// The source of the sidecar's configuration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConfigSource {
    /// A ConfigMap for each workload, with the app's port and defaults.
    Generated,
    /// A ConfigMap for each workload, with this text.
    Given(Box<Configuration>),
    /// An existing ConfigMap.
    ConfigMap(String),
    /// An existing Secret.
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
    /// Requests. Default cpu 20m, memory 24Mi.
    pub requests: BTreeMap<String, String>,
    /// Limits. Default memory 64Mi, and none for cpu: throttling would only add latency.
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

/// The keys of `--set`.
const KEYS: &str = "image, port, statusPort, config, resources.requests.cpu, resources.requests.memory, \
                    resources.limits.cpu, resources.limits.memory, resources.requests, resources.limits, resources";

impl Options {
    /// Applies one `key=value` of `--set`. `null` removes a resource, or all of them.
    ///
    /// # Errors
    /// The problem, and what to write instead.
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

    /// Checks that the options are consistent.
    ///
    /// # Errors
    /// All problems.
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

    /// Requests over their limit, which the API server rejects.
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
