//! `--rewrite-probes`: probes of the app's port go through the sidecar's status port, which probes
//! the app on loopback.
//!
//! The original probes are in the arguments of the sidecar (`--app-probe`) and not in its
//! configuration: probes belong to the pod.

use serde_json::{Map, json};

use super::{Container, Pod, Ports, SIDECAR, containers, hooks::goes_to_app};
use crate::{
    options::Options,
    place::place,
    problem::Wrong,
    record::Record,
    yaml::{
        Id, Tree, integer,
        splice::{Splice, span_of},
        value::{Value, inline_entry},
    },
};

/// The keys of a container, and the last segment of their path.
const PROBES: [(&str, &str); 3] = [
    ("startupProbe", "startupz"),
    ("livenessProbe", "livez"),
    ("readinessProbe", "readyz"),
];

const HANDLERS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];

/// A probe that can be sent through the status port.
struct Probe {
    container: Container,
    /// `startupProbe` and so on.
    key: &'static str,
    map: Id,
    handler: &'static str,
    path: String,
}

/// Sends the probes of the app's port through the status port; returns the sidecar's arguments for
/// them.
///
/// # Errors
/// One of them cannot be rewritten.
pub(super) fn put(
    pod: &Pod<'_, '_>,
    options: &Options,
    ports: &Ports,
    splice: &mut Splice<'_, '_>,
    record: &mut Record,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, Wrong> {
    let mut arguments = Vec::new();
    if !options.rewrite_probes {
        return Ok(arguments);
    }
    for probe in find(pod, ports) {
        only_handler(pod.tree, &probe)?;
        place(pod.tree, probe.map, probe.handler, false)?;
        arguments.push(argument(pod.tree, &probe, ports)?);
        let Some(entry) = pod.tree.entry(probe.map, probe.handler) else {
            continue;
        };
        let status = Value::map(vec![
            ("path", Value::text(&probe.path)),
            ("port", Value::Number(ports.status.into())),
        ]);
        let (start, end) = span_of(pod.tree, entry.key, entry.value);
        let before = pod.tree.text[start..end].to_owned();
        let text = inline_entry("httpGet", &status, splice.json);
        splice.edits.replace(start..end, text);
        record.was.push((
            format!("{}/{}", probe.container.name(pod.tree), probe.key),
            before,
        ));
    }
    if !arguments.is_empty() {
        let probes = if arguments.len() == 1 {
            "1 probe goes"
        } else {
            "probes go"
        };
        let number = if arguments.len() == 1 {
            String::new()
        } else {
            format!("{} ", arguments.len())
        };
        notes.push(format!("{number}{probes} through the status port"));
    }
    Ok(arguments)
}

fn find(pod: &Pod<'_, '_>, ports: &Ports) -> Vec<Probe> {
    let tree = pod.tree;
    let mut found = Vec::new();
    for container in containers(tree, pod.spec) {
        for (key, ending) in PROBES {
            let Some(map) = tree.get(container.map, key) else {
                continue;
            };
            // A `host` is outside of the pod.
            let handler = HANDLERS.into_iter().find(|handler| {
                tree.get(map, handler).is_some_and(|inner| {
                    tree.get(inner, "host").is_none() && goes_to_app(pod, ports, container, inner)
                })
            });
            if let Some(handler) = handler.filter(|_| container.name(tree) != SIDECAR) {
                found.push(Probe {
                    container,
                    key,
                    map,
                    handler,
                    path: format!("/app/{}/{ending}", container.name(tree)),
                });
            }
        }
    }
    found
}

/// Kubernetes permits one handler; beside another one, the new `httpGet` could be a duplicate.
fn only_handler(tree: &Tree<'_>, probe: &Probe) -> Result<(), Wrong> {
    let others = HANDLERS.into_iter().chain(["exec"]);
    let other = others
        .filter(|handler| *handler != probe.handler)
        .find_map(|handler| tree.entry(probe.map, handler));
    let Some(other) = other else {
        return Ok(());
    };
    let message = format!(
        "{} of container {} has {} and {}",
        probe.key,
        probe.container.name(tree),
        probe.handler,
        tree.scalar(other.key).unwrap_or_default()
    );
    Err(Wrong::new(
        tree.node(other.key).line,
        message,
        "keep one of them",
    ))
}

/// The probe as `outrigger run --app-probe` parses it.
fn argument(tree: &Tree<'_>, probe: &Probe, ports: &Ports) -> Result<String, Wrong> {
    let Some(inner) = tree.get(probe.map, probe.handler) else {
        return Ok(String::new());
    };
    let line = tree.node(inner).line;
    let mut handler = Map::new();
    // In alphabetical order, so that the text does not depend on the type of the map.
    match probe.handler {
        "httpGet" => {
            if tree
                .text_of(inner, "scheme")
                .is_some_and(|scheme| scheme != "HTTP")
            {
                let message = format!(
                    "{} of container {} speaks HTTPS, and the status port asks apps without TLS",
                    probe.key,
                    probe.container.name(tree)
                );
                return Err(Wrong::new(
                    line,
                    message,
                    "let it ask over HTTP, or leave --rewrite-probes away",
                ));
            }
            if let Some(list) = tree.get(inner, "httpHeaders") {
                let header = |item: &Id| {
                    json!({
                        "name": tree.text_of(*item, "name").unwrap_or_default(),
                        "value": tree.text_of(*item, "value").unwrap_or_default(),
                    })
                };
                let headers = tree.items(list).iter().map(header).collect();
                handler.insert("httpHeaders".to_owned(), headers);
            }
            if let Some(path) = tree.text_of(inner, "path") {
                handler.insert("path".to_owned(), path.into());
            }
            handler.insert("port".to_owned(), ports.app.into());
        }
        "grpc" => {
            handler.insert("port".to_owned(), ports.app.into());
            if let Some(service) = tree.text_of(inner, "service") {
                handler.insert("service".to_owned(), service.into());
            }
        }
        _ => drop(handler.insert("port".to_owned(), ports.app.into())),
    }
    let mut whole = Map::new();
    whole.insert(probe.handler.to_owned(), handler.into());
    whole.insert("path".to_owned(), probe.path.clone().into());
    let timeout = tree.get(probe.map, "timeoutSeconds");
    if let Some(seconds) = timeout
        .and_then(|timeout| integer(tree.node(timeout)))
        .filter(|seconds| *seconds > 0)
    {
        whole.insert("timeoutSeconds".to_owned(), seconds.into());
    }
    // `tcpSocket` is after `path` in alphabetical order.
    if let Some(handler) = whole.remove("tcpSocket") {
        let timeout = whole.remove("timeoutSeconds");
        whole.insert("tcpSocket".to_owned(), handler);
        whole.extend(timeout.map(|timeout| ("timeoutSeconds".to_owned(), timeout)));
    }
    Ok(serde_json::Value::from(whole).to_string())
}

/// Restores the original probes.
pub(super) fn undo(pod: &Pod<'_, '_>, record: &Record, splice: &mut Splice<'_, '_>) {
    let tree = pod.tree;
    for container in containers(tree, pod.spec) {
        for (key, _) in PROBES {
            let Some(before) = record.was(&format!("{}/{key}", container.name(tree))) else {
                continue;
            };
            let entry = tree
                .get(container.map, key)
                .and_then(|map| tree.entry(map, "httpGet"))
                .filter(|entry| entry.own);
            if let Some(entry) = entry {
                let (start, end) = span_of(tree, entry.key, entry.value);
                splice.edits.replace(start..end, before);
            }
        }
    }
}
