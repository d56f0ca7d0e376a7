//! Conflicts with names and ports that the pod already has.

use super::{Pod, Ports, SIDECAR, container::containers};
use crate::{problem::Wrong, yaml::Kind};

pub(super) fn find(pod: &Pod<'_, '_>, ports: &Ports) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    names(pod, &mut wrong);
    let ours = ports.named();
    for container in containers(pod.tree, pod.spec) {
        if container.name(pod.tree) == SIDECAR {
            continue; // reported above
        }
        for port in container.ports(pod.tree) {
            let line = pod.tree.node(port.map).line;
            let theirs = match (port.name, port.number) {
                (Some(name), Some(number)) => format!(
                    "port {name} ({number}) of container {}",
                    container.name(pod.tree)
                ),
                (_, Some(number)) => {
                    format!("port {number} of container {}", container.name(pod.tree))
                }
                _ => format!("a port of container {}", container.name(pod.tree)),
            };
            for (name, number) in &ours {
                if port.name == Some(name) {
                    let message =
                        format!("{theirs} has the name of the sidecar's port {name} ({number})");
                    wrong.push(Wrong::new(
                        line,
                        message,
                        "rename it; a Service would find either of them",
                    ));
                }
                if port.number == Some(*number) && port.tcp {
                    let message = format!("{theirs} is also the sidecar's port {name}");
                    wrong.push(Wrong::new(
                        line,
                        message,
                        "choose another for the sidecar: --set port=…, --set statusPort=…",
                    ));
                }
            }
            if port.number == Some(ports.admin) && port.tcp {
                let message = format!("{theirs} is also the sidecar's admin port");
                wrong.push(Wrong::new(
                    line,
                    message,
                    "give --config a file with another `admin.address`",
                ));
            }
            let on_node = pod.tree.get(port.map, "hostPort").is_some();
            if on_node && port.tcp && port.number.is_some() && port.number == ports.app {
                let message =
                    format!("{theirs} has a hostPort, which leads to the app past the sidecar");
                wrong.push(Wrong::new(
                    line,
                    message,
                    "remove the hostPort; schedulers before 1.34 do not count one of a sidecar",
                ));
            }
        }
    }
    if let Some(app) = ports.app
        && let Some((name, _)) = ours.iter().find(|(_, number)| *number == app)
        && wrong.is_empty()
    {
        let message = format!("the app's port {app} is also the sidecar's port {name}");
        wrong.push(Wrong::new(
            pod.line(),
            message,
            "choose another for the sidecar: --set port=…, --set statusPort=…",
        ));
    }
    wrong
}

/// A container or volume with the sidecar's name that is in no record.
fn names(pod: &Pod<'_, '_>, wrong: &mut Vec<Wrong>) {
    let tree = pod.tree;
    let mut all: Vec<_> = containers(tree, pod.spec)
        .into_iter()
        .map(|container| (container.map, "container"))
        .collect();
    let volumes = tree.get(pod.spec, "volumes");
    if let Some(Kind::List(items)) = volumes.map(|list| &tree.node(list).kind) {
        all.extend(items.iter().map(|item| (*item, "volume")));
    }
    for (map, what) in all {
        if tree.text_of(map, "name") == Some(SIDECAR) {
            let message = format!(
                "the {what} {SIDECAR} is already there, and the sidecar's {what} has the same name"
            );
            let help = format!(
                "rename or remove it: without the annotation outrigger/injected, no injection has made it, so a {what} of yours would be lost"
            );
            wrong.push(Wrong::new(tree.node(map).line, message, help));
        }
    }
}
