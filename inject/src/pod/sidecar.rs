//! The sidecar's container and its volume, as in `deploy/native-sidecar.yaml`.

use super::{Pod, Ports, SIDECAR};
use crate::{
    options::{ConfigSource, Options, Resources},
    problem::Wrong,
    yaml::value::Value,
};

/// The directory of the configuration; not a `subPath` mount, which would never be updated.
const FOLDER: &str = "/etc/outrigger";
const FILE: &str = "/etc/outrigger/outrigger.yaml";

/// User and group of the image.
const USER: u64 = 65532;

/// Longest name of a ConfigMap.
const MAX_NAME: usize = 253;

/// Name of the ConfigMap for the workload; `None` with an existing one.
pub(super) fn config_map(pod: &Pod<'_, '_>, options: &Options) -> Result<Option<String>, Wrong> {
    if !matches!(
        options.config,
        ConfigSource::Generated | ConfigSource::Given(_)
    ) {
        return Ok(None);
    }
    let name = pod.object.name(pod.tree).filter(|name| !name.is_empty());
    let Some(name) = name.filter(|name| name.len() + "-outrigger".len() <= MAX_NAME) else {
        return Err(Wrong::new(
            pod.line(),
            "the workload has no name that a ConfigMap could be named after",
            "name a ConfigMap of yours: --set config=configmap/NAME",
        ));
    };
    Ok(Some(format!("{name}-outrigger")))
}

pub(super) fn volume(options: &Options, config_map: Option<&str>) -> Value {
    let source = match (&options.config, config_map) {
        (ConfigSource::Secret(name), _) => (
            "secret",
            Value::map(vec![("secretName", Value::text(name))]),
        ),
        (ConfigSource::ConfigMap(name), _) => {
            ("configMap", Value::map(vec![("name", Value::text(name))]))
        }
        (_, name) => (
            "configMap",
            Value::map(vec![("name", Value::text(name.unwrap_or_default()))]),
        ),
    };
    Value::map(vec![("name", Value::text(SIDECAR)), source])
}

/// The container that was written last: nearly all pods of an input have the same one.
#[derive(Debug, Default)]
pub(crate) struct Written(Option<(Key, Value)>);

/// The differences between containers: ports, and arguments for probes.
type Key = (Vec<(String, u16)>, Vec<String>);

impl Written {
    pub(super) fn container(
        &mut self,
        options: &Options,
        ports: &Ports,
        probes: Vec<String>,
    ) -> Value {
        let key = (ports.named(), probes);
        match &self.0 {
            Some((known, value)) if *known == key => value.clone(),
            _ => {
                let value = container(options, ports, &key.1).ready();
                self.0 = Some((key, value.clone()));
                value
            }
        }
    }
}

fn container(options: &Options, ports: &Ports, probes: &[String]) -> Value {
    let mut entries = vec![
        ("name", Value::text(SIDECAR)),
        ("image", Value::text(&options.image)),
    ];
    if !options.classic {
        entries.push(("restartPolicy", Value::text("Always")));
    }
    entries.push(("args", arguments(probes)));
    entries.push(("env", environment()));
    entries.push(("ports", port_list(ports)));
    // The app starts after this probe has succeeded; the probe does not depend on the app.
    entries.push((
        "startupProbe",
        probe(
            "/startupz",
            &[("periodSeconds", 1), ("failureThreshold", 30)],
        ),
    ));
    entries.push(("livenessProbe", probe("/livez", &[("periodSeconds", 10)])));
    entries.push((
        "readinessProbe",
        probe("/readyz", &[("periodSeconds", 5), ("timeoutSeconds", 2)]),
    ));
    let drain = Value::words(&["/outrigger", "drain", "-c", FILE, "--wait"]);
    let drain = Value::map(vec![("exec", Value::map(vec![("command", drain)]))]);
    entries.push(("lifecycle", Value::map(vec![("preStop", drain)])));
    entries.extend(resources(&options.resources).map(|value| ("resources", value)));
    entries.push(("securityContext", security()));
    let mount = Value::map(vec![
        ("name", Value::text(SIDECAR)),
        ("mountPath", Value::text(FOLDER)),
        ("readOnly", Value::Flag(true)),
    ]);
    entries.push(("volumeMounts", Value::List(vec![mount.short()])));
    Value::map(entries)
}

fn arguments(probes: &[String]) -> Value {
    let run = ["run", "-c", FILE];
    if probes.is_empty() {
        return Value::words(&run);
    }
    let probes = probes.iter().flat_map(|probe| ["--app-probe", probe]);
    Value::List(run.into_iter().chain(probes).map(Value::text).collect())
}

fn environment() -> Value {
    let fields = [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("POD_IP", "status.podIP"),
        ("NODE_NAME", "spec.nodeName"),
    ];
    let variable = |(name, path): (&str, &str)| {
        let field = Value::map(vec![(
            "fieldRef",
            Value::map(vec![("fieldPath", Value::text(path))]),
        )]);
        Value::map(vec![("name", Value::text(name)), ("valueFrom", field)]).short()
    };
    Value::List(fields.into_iter().map(variable).collect())
}

fn port_list(ports: &Ports) -> Value {
    let port = |(name, number): (String, u16)| {
        Value::map(vec![
            ("name", Value::Text(name)),
            ("containerPort", Value::Number(number.into())),
        ])
        .short()
    };
    Value::List(ports.named().into_iter().map(port).collect())
}

fn probe(path: &str, numbers: &[(&str, u64)]) -> Value {
    let get = Value::map(vec![
        ("path", Value::text(path)),
        ("port", Value::text("proxy-status")),
    ]);
    let mut entries = vec![("httpGet", get.short())];
    entries.extend(
        numbers
            .iter()
            .map(|(key, number)| (*key, Value::Number(*number))),
    );
    Value::map(entries)
}

fn resources(resources: &Resources) -> Option<Value> {
    let sides = [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ];
    let entries: Vec<_> = sides
        .into_iter()
        .filter(|(_, map)| !map.is_empty())
        .map(|(side, map)| {
            let quantities = map
                .iter()
                .map(|(name, quantity)| (name.clone(), Value::text(quantity)));
            (side, Value::Map(quantities.collect()).short())
        })
        .collect();
    (!entries.is_empty()).then(|| Value::map(entries))
}

/// The requirements of the restricted Pod Security Standard for a container, with its own user: the
/// pod's may differ.
fn security() -> Value {
    Value::map(vec![
        ("runAsUser", Value::Number(USER)),
        ("runAsGroup", Value::Number(USER)),
        ("runAsNonRoot", Value::Flag(true)),
        ("allowPrivilegeEscalation", Value::Flag(false)),
        ("readOnlyRootFilesystem", Value::Flag(true)),
        (
            "capabilities",
            Value::map(vec![("drop", Value::words(&["ALL"]))]).short(),
        ),
        (
            "seccompProfile",
            Value::map(vec![("type", Value::text("RuntimeDefault"))]).short(),
        ),
    ])
}
