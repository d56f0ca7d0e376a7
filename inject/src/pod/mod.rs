//! One pod template: whether it gets a sidecar, and everything that is inserted into it.

mod clash;
mod container;
mod grace;
mod hooks;
mod port;
mod probes;
mod put;
mod sidecar;
mod skip;
mod undo;

use crate::{
    object::Object,
    options::Options,
    problem::Wrong,
    yaml::{Id, Kind, Tree, splice::Splice},
};

pub(crate) use container::{Container, containers, port_by_name};
pub(crate) use port::Ports;
pub(crate) use sidecar::Written;
pub(crate) use undo::{record_of, undo};

/// Name of the container and of its volume.
pub(crate) const SIDECAR: &str = "outrigger";

/// The lists of containers.
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// The result for a workload.
pub(crate) enum Verdict {
    /// The workload opted out.
    OptedOut(String),
    /// The workload cannot have a sidecar.
    Skipped(String),
    Injected(Injected),
}

/// A pod template that got a sidecar.
pub(crate) struct Injected {
    pub(crate) ports: Ports,
    /// Name of the ConfigMap to create.
    pub(crate) config_map: Option<String>,
    /// Details for the report.
    pub(crate) detail: String,
    /// The sidecar is after the init container of `--after-init`.
    pub(crate) behind_init: bool,
}

/// The pod template of a workload.
pub(crate) struct Pod<'t, 'a> {
    pub(crate) tree: &'t Tree<'a>,
    pub(crate) object: Object,
    /// The map with `metadata` and `spec`.
    pub(crate) map: Id,
    pub(crate) spec: Id,
}

impl<'t, 'a> Pod<'t, 'a> {
    /// The template of a workload; `None` if it has none.
    pub(crate) fn of(tree: &'t Tree<'a>, object: Object) -> Option<Self> {
        let map = object.pod(tree)?;
        let spec = tree.get(map, "spec").filter(|spec| tree.is_map(*spec))?;
        Some(Self {
            tree,
            object,
            map,
            spec,
        })
    }

    pub(crate) fn line(&self) -> usize {
        self.object.line(self.tree)
    }

    /// An annotation of the pod template.
    pub(crate) fn annotation(&self, name: &str) -> Option<&'t str> {
        let annotations = self.tree.path(self.map, &["metadata", "annotations"])?;
        self.tree.text_of(annotations, name)
    }

    /// The labels that selectors of Services match.
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        let Some(labels) = self.tree.path(self.map, &["metadata", "labels"]) else {
            return Vec::new();
        };
        let entries = self.tree.entries(labels).into_iter();
        entries
            .filter_map(|entry| {
                let (key, value) = (self.tree.scalar(entry.key)?, self.tree.scalar(entry.value)?);
                Some((key.to_owned(), value.to_owned()))
            })
            .collect()
    }
}

/// Decides about a workload and inserts the sidecar.
///
/// # Errors
/// Everything that prevents the injection.
pub(crate) fn inject(
    pod: &Pod<'_, '_>,
    options: &Options,
    written: &mut Written,
    splice: &mut Splice<'_, '_>,
) -> Result<Verdict, Vec<Wrong>> {
    if let Some(verdict) = skip::verdict(pod) {
        return Ok(verdict);
    }
    let mut wrong: Vec<Wrong> = skip::other_tools(pod).into_iter().collect();
    wrong.extend(classic_forbidden(pod, options));
    let ports = match port::find(pod, options) {
        Ok(ports) => Some(ports),
        Err(error) => {
            wrong.push(error);
            None
        }
    };
    if let Some(ports) = &ports {
        wrong.extend(clash::find(pod, ports));
        wrong.extend(hooks::refused(pod, ports));
    }
    let Some(ports) = ports.filter(|_| wrong.is_empty()) else {
        return Err(wrong);
    };
    put::put(pod, options, ports, written, splice)
        .map(Verdict::Injected)
        .map_err(|wrong| vec![wrong])
}

fn classic_forbidden(pod: &Pod<'_, '_>, options: &Options) -> Option<Wrong> {
    if !options.classic {
        return None;
    }
    let policy = pod.tree.text_of(pod.spec, "restartPolicy").unwrap_or("");
    let ends = pod.object.is_job(pod.tree) || matches!(policy, "Never" | "OnFailure");
    ends.then(|| {
        Wrong::new(
            pod.line(),
            "a classic sidecar never ends, and so would this pod never be complete",
            "leave --classic away, or annotate the pod template with outrigger/inject: disabled",
        )
    })
}

/// The index of an own entry of a map.
fn entry_number(tree: &Tree<'_>, map: Id, name: &str) -> Option<usize> {
    match &tree.node(map).kind {
        Kind::Map(entries) => entries
            .iter()
            .position(|(key, _)| tree.scalar(*key) == Some(name)),
        _ => None,
    }
}
