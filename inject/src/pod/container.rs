//! The containers of a pod and their ports.

use super::{LISTS, Pod, Ports, SIDECAR};
use crate::yaml::{Id, Tree, integer};

/// A container and its position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container {
    pub(crate) map: Id,
    pub(crate) init: bool,
}

/// A declared port of a container.
pub(crate) struct Port<'t> {
    pub(crate) map: Id,
    pub(crate) name: Option<&'t str>,
    pub(crate) number: Option<u16>,
    pub(crate) tcp: bool,
}

/// All containers, in the order in which they start.
pub(crate) fn containers(tree: &Tree<'_>, spec: Id) -> Vec<Container> {
    let mut found = Vec::new();
    for (name, init) in LISTS.iter().zip([true, false]) {
        if let Some(list) = tree.get(spec, name) {
            let maps = tree.items(list).iter().filter(|item| tree.is_map(**item));
            found.extend(maps.map(|map| Container { map: *map, init }));
        }
    }
    found
}

impl Container {
    pub(crate) fn name<'t>(&self, tree: &'t Tree<'_>) -> &'t str {
        tree.text_of(self.map, "name").unwrap_or("")
    }

    pub(crate) fn ports<'t>(&self, tree: &'t Tree<'_>) -> Vec<Port<'t>> {
        let Some(list) = tree.get(self.map, "ports") else {
            return Vec::new();
        };
        let port = |map: &Id| Port {
            map: *map,
            name: tree.text_of(*map, "name"),
            number: tree
                .get(*map, "containerPort")
                .and_then(|number| integer(tree.node(number)))
                .and_then(|number| u16::try_from(number).ok()),
            tcp: tree
                .text_of(*map, "protocol")
                .is_none_or(|protocol| protocol == "TCP"),
        };
        tree.items(list).iter().map(port).collect()
    }
}

/// The app's containers, without init containers.
pub(super) fn apps<'t>(pod: &'t Pod<'_, '_>) -> impl Iterator<Item = Container> + 't {
    containers(pod.tree, pod.spec)
        .into_iter()
        .filter(|container| !container.init && container.name(pod.tree) != SIDECAR)
}

/// The app's container: the one that declares its port, else the first one.
pub(super) fn app(pod: &Pod<'_, '_>, ports: &Ports) -> Option<Id> {
    let declares = |container: &Container| {
        let ports_here = container.ports(pod.tree);
        ports_here
            .iter()
            .any(|port| port.tcp && port.number.is_some() && port.number == ports.app)
    };
    apps(pod)
        .find(declares)
        .or_else(|| apps(pod).next())
        .map(|container| container.map)
}

/// The number of a named TCP port, as Kubernetes resolves it: containers first, then init containers.
pub(crate) fn port_by_name(tree: &Tree<'_>, spec: Id, name: &str) -> Option<u16> {
    let mut all = containers(tree, spec);
    all.sort_by_key(|container| container.init);
    let mut ports = all.iter().flat_map(|container| container.ports(tree));
    ports
        .find(|port| port.tcp && port.name == Some(name))
        .and_then(|port| port.number)
}
