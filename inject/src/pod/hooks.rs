//! Hooks and probes of the app's containers: those for the pod's address do not reach an app on
//! loopback.

use super::{Container, Pod, Ports, SIDECAR, containers, port_by_name};
use crate::{
    options::Options,
    place::{Place, place},
    problem::Wrong,
    record::Record,
    yaml::{
        Id, integer, is_null,
        splice::{At, Splice},
        value::Value,
    },
};

const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

/// HTTP hooks for the app's port, which are rejected.
pub(super) fn refused(pod: &Pod<'_, '_>, ports: &Ports) -> Vec<Wrong> {
    let tree = pod.tree;
    let mut wrong = Vec::new();
    for container in containers(tree, pod.spec) {
        for hook in ["postStart", "preStop"] {
            let Some(get) = tree.path(container.map, &["lifecycle", hook, "httpGet"]) else {
                continue;
            };
            if goes_to_app(pod, ports, container, get) {
                let name = container.name(tree);
                let message = format!(
                    "lifecycle.{hook}.httpGet of container {name} goes to the pod's address, and an app on 127.0.0.1 does not get it"
                );
                wrong.push(Wrong::new(
                    tree.node(get).line,
                    message,
                    "write an `exec` or `sleep` hook instead",
                ));
            }
        }
    }
    wrong
}

/// Whether a handler's `port` is the app's, by number or by the name in its container.
pub(super) fn goes_to_app(
    pod: &Pod<'_, '_>,
    ports: &Ports,
    container: Container,
    handler: Id,
) -> bool {
    let tree = pod.tree;
    let Some(port) = tree.get(handler, "port") else {
        return false;
    };
    let number = integer(tree.node(port))
        .and_then(|number| u16::try_from(number).ok())
        .or_else(|| {
            let name = tree.scalar(port)?;
            let own = container.ports(tree);
            let own = own.iter().find(|port| port.name == Some(name));
            own.map_or_else(|| port_by_name(tree, pod.spec, name), |port| port.number)
        });
    number.is_some() && number == ports.app
}

/// Lists the probes of the app's port in the report.
pub(super) fn note_probes(pod: &Pod<'_, '_>, ports: &Ports, notes: &mut Vec<String>) {
    let tree = pod.tree;
    let mut found = Vec::new();
    for container in containers(tree, pod.spec) {
        for probe in PROBES {
            let Some(probe_map) = tree.get(container.map, probe) else {
                continue;
            };
            let to_app = ["httpGet", "tcpSocket", "grpc"].iter().any(|handler| {
                tree.get(probe_map, handler)
                    .is_some_and(|handler| goes_to_app(pod, ports, container, handler))
            });
            if to_app && container.name(tree) != SIDECAR {
                found.push(format!("{probe} of {}", container.name(tree)));
            }
        }
    }
    if !found.is_empty() {
        notes.push(format!(
            "probes of the app's port ask the pod's address, and fail when the app listens on 127.0.0.1 alone ({})",
            found.join(", ")
        ));
    }
}

/// `--app-prestop-sleep`: the app serves requests while the proxy's inbound connections end.
pub(super) fn put_sleep(
    pod: &Pod<'_, '_>,
    options: &Options,
    app: Option<Id>,
    splice: &mut Splice<'_, '_>,
    record: &mut Record,
    notes: &mut Vec<String>,
) -> Result<(), Wrong> {
    let (Some(sleep), Some(app)) = (options.app_prestop_sleep, app) else {
        return Ok(());
    };
    let tree = pod.tree;
    let Some(name) = tree.text_of(app, "name").filter(|name| !name.is_empty()) else {
        let message = "the app's container has no name";
        return Err(Wrong::new(tree.node(app).line, message, "give it one"));
    };
    let pre_stop = || {
        Value::map(vec![(
            "sleep",
            Value::map(vec![("seconds", Value::Number(sleep.as_secs()))]),
        )])
    };
    let lifecycle = place(tree, app, "lifecycle", false)?;
    match lifecycle {
        Place::There { value, .. }
            if tree
                .entry(value, "preStop")
                .is_some_and(|entry| !is_null(tree.node(entry.value))) =>
        {
            notes.push(format!("container {name} keeps its own preStop"));
            return Ok(());
        }
        Place::There { value, .. } if tree.entry(value, "preStop").is_some() => {
            return Err(Wrong::new(
                tree.node(value).line,
                "`preStop` is null",
                "remove it",
            ));
        }
        Place::There { key, value } => {
            if tree.is_map(value) {
                record.made.push("preStop".to_owned());
            }
            let entries = [("preStop".to_owned(), pre_stop())];
            let before = splice.add_entries(value, key, At::First, &entries);
            match before {
                Some(before) => record.was.push(("lifecycle".to_owned(), before)),
                None if !tree.is_map(value) => record.made.push("preStop".to_owned()),
                None => {}
            }
        }
        Place::Missing => {
            record.made.push("lifecycle".to_owned());
            let at = super::entry_number(tree, app, "name").map_or(At::First, At::Behind);
            let lifecycle = Value::map(vec![("preStop", pre_stop())]);
            splice.add_entries(app, app, at, &[("lifecycle".to_owned(), lifecycle)]);
        }
    }
    name.clone_into(&mut record.sleeps);
    notes.push(format!(
        "container {name} sleeps {} s before it ends",
        sleep.as_secs()
    ));
    Ok(())
}
