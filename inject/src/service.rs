//! Services in front of an injected pod: their `targetPort` becomes the number of the proxy's port.
//!
//! Never its name: before Kubernetes 1.33 EndpointSlices do not resolve a named port of an init
//! container (kubernetes#127958).

use std::collections::HashMap;

use crate::{
    annotate::annotate,
    object::Object,
    place::{Place, scalar_place},
    pod::{Pod, Ports, port_by_name},
    problem::Wrong,
    record::{INJECTED, Record},
    yaml::{
        Id, Kind, Tree, integer, is_null,
        splice::{At, Splice},
        value::Value,
    },
};

/// A workload of the input, as far as Services need it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) title: String,
    pub(crate) namespace: Option<String>,
    labels: Vec<(String, String)>,
    /// Named TCP ports of the original pod.
    names: Vec<(String, u16)>,
    /// `None` for a pod without a sidecar.
    pub(crate) ports: Option<Ports>,
}

impl Target {
    pub(crate) fn new(pod: &Pod<'_, '_>, ports: Option<Ports>) -> Self {
        let tree = pod.tree;
        let mut names = Vec::new();
        for container in crate::pod::containers(tree, pod.spec) {
            for port in container.ports(tree) {
                if let Some(name) = port.name
                    && let Some(number) = port_by_name(tree, pod.spec, name)
                {
                    names.push((name.to_owned(), number));
                }
            }
        }
        Self {
            title: pod.object.title(tree),
            namespace: pod.object.namespace(tree).map(str::to_owned),
            labels: pod.labels(),
            names,
            ports,
        }
    }

    fn is_selected(&self, namespace: Option<&str>, selector: &[(String, String)]) -> bool {
        self.namespace.as_deref() == namespace
            && selector.iter().all(|pair| self.labels.contains(pair))
    }

    /// The number of a `targetPort` in this pod.
    fn resolve(&self, target: &Wanted) -> Option<u16> {
        match target {
            Wanted::Number(number) => Some(*number),
            Wanted::Name(name) => self
                .names
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, number)| *number),
        }
    }
}

/// All workloads of the input, indexed by their labels.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    list: Vec<Target>,
    /// The indexes of workloads by namespace and label.
    by_label: HashMap<(Option<String>, String, String), Vec<usize>>,
}

impl Targets {
    pub(crate) fn add(&mut self, target: Target) {
        for (name, value) in &target.labels {
            let key = (target.namespace.clone(), name.clone(), value.clone());
            self.by_label.entry(key).or_default().push(self.list.len());
        }
        self.list.push(target);
    }

    fn selected(&self, namespace: Option<&str>, selector: &[(String, String)]) -> Vec<&Target> {
        let having = |(name, value): &(String, String)| {
            let key = (namespace.map(str::to_owned), name.clone(), value.clone());
            self.by_label.get(&key).map_or(&[][..], Vec::as_slice)
        };
        let fewest = selector.iter().map(having).min_by_key(|list| list.len());
        let candidates = fewest.unwrap_or_default().iter();
        candidates
            .map(|index| &self.list[*index])
            .filter(|target| target.is_selected(namespace, selector))
            .collect()
    }
}

enum Wanted {
    Number(u16),
    Name(String),
}

/// One port of a Service.
struct Port {
    map: Id,
    /// Port and protocol, the key in the record.
    key: String,
    /// The name in the report.
    title: String,
    wanted: Wanted,
}

/// The result for a Service.
pub(crate) enum Outcome {
    Changed(String),
    Untouched(String),
}

/// Points a Service to the proxy.
///
/// # Errors
/// It selects pods that need different ports.
pub(crate) fn rewrite(
    object: Object,
    targets: &Targets,
    splice: &mut Splice<'_, '_>,
) -> Result<Outcome, Wrong> {
    let tree = splice.tree;
    let untouched = |reason: &str| Ok(Outcome::Untouched(reason.to_owned()));
    let Some(spec) = tree.get(object.map, "spec") else {
        return untouched("it has no spec");
    };
    if tree.text_of(spec, "type") == Some("ExternalName") {
        return untouched("ExternalName");
    }
    let selector = selector(tree, spec);
    if selector.is_empty() {
        return untouched("it has no selector");
    }
    let namespace = object.namespace(tree);
    let selected = targets.selected(namespace, &selector);
    if !selected.iter().any(|target| target.ports.is_some()) {
        return untouched("it selects no injected workload");
    }
    let mut record = Record::new("service");
    let mut changes = Vec::new();
    for port in ports(tree, spec) {
        let Some(proxy) = proxy_of(tree, &port, &selected)? else {
            continue;
        };
        let before = match scalar_place(tree, port.map, "targetPort")? {
            Place::Missing => {
                let at = own_entry(tree, port.map, "port").map_or(At::First, At::Behind);
                let entry = [("targetPort".to_owned(), Value::Number(proxy.into()))];
                splice.add_entries(tree.resolved(port.map), port.map, at, &entry);
                record.made.push(port.key.clone());
                "it was the port's own number".to_owned()
            }
            Place::There { key, value } => {
                let text = tree.scalar(value).unwrap_or_default().to_owned();
                let before = splice.set_value(key, value, &proxy.to_string());
                record.was.push((port.key.clone(), before));
                format!("it was {text}")
            }
        };
        changes.push(format!(
            "targetPort of {} is {proxy} ({before})",
            port.title
        ));
    }
    if changes.is_empty() {
        return untouched("none of its ports leads to the app's");
    }
    annotate(splice, object.map, Vec::new(), record)?;
    if tree.text_of(spec, "clusterIP") == Some("None") {
        let proxy = selected
            .iter()
            .find_map(|target| target.ports.as_ref())
            .map_or(0, Ports::proxy);
        changes.push(format!(
            "warning: it is headless, so clients that take the address alone must use port {proxy} themselves"
        ));
    }
    Ok(Outcome::Changed(changes.join("; ")))
}

/// The proxy's port, if this one leads to the app in every selected pod.
fn proxy_of(tree: &Tree<'_>, port: &Port, selected: &[&Target]) -> Result<Option<u16>, Wrong> {
    let wanted = |target: &&Target| {
        let ports = target.ports.as_ref()?;
        let leads_to_app = ports.app.is_some() && target.resolve(&port.wanted) == ports.app;
        (leads_to_app && ports.proxy() != 0).then(|| ports.proxy())
    };
    let found: Vec<(Option<u16>, &str)> = selected
        .iter()
        .map(|target| (wanted(target), target.title.as_str()))
        .collect();
    let Some((first, of)) = found.iter().find(|(proxy, _)| proxy.is_some()) else {
        return Ok(None);
    };
    match found.iter().find(|(proxy, _)| proxy != first) {
        None => Ok(*first),
        Some((_, other)) => {
            let line = tree.node(port.map).line;
            let message = format!(
                "its {} leads to the app's port of {of}, but {other} is selected too and has no sidecar in front of that port",
                port.title
            );
            Err(Wrong::new(
                line,
                message,
                "narrow the selector, or give both workloads the same ports",
            ))
        }
    }
}

fn selector(tree: &Tree<'_>, spec: Id) -> Vec<(String, String)> {
    let Some(selector) = tree.get(spec, "selector") else {
        return Vec::new();
    };
    let entries = tree.entries(selector).into_iter();
    entries
        .filter_map(|entry| {
            let (key, value) = (tree.scalar(entry.key)?, tree.scalar(entry.value)?);
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn ports(tree: &Tree<'_>, spec: Id) -> Vec<Port> {
    let Some(list) = tree.get(spec, "ports") else {
        return Vec::new();
    };
    tree.items(list)
        .iter()
        .filter_map(|map| port(tree, *map))
        .collect()
}

fn port(tree: &Tree<'_>, map: Id) -> Option<Port> {
    let protocol = tree.text_of(map, "protocol").unwrap_or("TCP");
    if protocol != "TCP" {
        return None;
    }
    let number = tree
        .get(map, "port")
        .and_then(|port| integer(tree.node(port)))?;
    let target = tree
        .get(map, "targetPort")
        .filter(|target| !is_null(tree.node(*target)));
    let wanted = match target {
        None => Wanted::Number(u16::try_from(number).ok()?),
        Some(target) => match integer(tree.node(target)) {
            Some(number) => Wanted::Number(u16::try_from(number).ok()?),
            None => Wanted::Name(tree.scalar(target)?.to_owned()),
        },
    };
    let title = match tree.text_of(map, "name") {
        Some(name) => format!("port {name}"),
        None => format!("port {number}"),
    };
    Some(Port {
        map,
        key: format!("{number}/{protocol}"),
        title,
        wanted,
    })
}

fn own_entry(tree: &Tree<'_>, map: Id, name: &str) -> Option<usize> {
    match &tree.node(tree.resolved(map)).kind {
        Kind::Map(entries) => entries
            .iter()
            .position(|(key, _)| tree.scalar(*key) == Some(name)),
        _ => None,
    }
}

/// The record of an injection into a Service.
pub(crate) fn record_of(tree: &Tree<'_>, object: Object) -> Option<Record> {
    let annotations = tree.path(object.map, &["metadata", "annotations"])?;
    Record::read(tree.text_of(annotations, INJECTED)?)
}

/// Restores the ports of a Service.
pub(crate) fn undo(object: Object, record: &Record, splice: &mut Splice<'_, '_>) {
    let tree = splice.tree;
    if let Some(spec) = tree.get(object.map, "spec") {
        for port in ports(tree, spec) {
            let Some(index) = own_entry(tree, port.map, "targetPort") else {
                continue;
            };
            if record.has_made(&port.key) {
                splice.remove_entries(tree.resolved(port.map), &[index]);
            } else if let (Some(before), Some(entry)) =
                (record.was(&port.key), tree.entry(port.map, "targetPort"))
            {
                splice.restore_value(entry.key, entry.value, before);
            }
        }
    }
    crate::annotate::undo(splice, object.map, record);
}
