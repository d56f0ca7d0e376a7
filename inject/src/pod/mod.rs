//! One pod template: whether it gets a sidecar, and all that is put into it.

mod clash;
mod container;
mod grace;
mod hooks;
mod port;
mod probes;
mod sidecar;
mod skip;
mod undo;

use crate::{
    annotate::annotate,
    object::Object,
    options::{ConfigSource, Options},
    place::{Place, place},
    problem::Wrong,
    record::{AFTER_INIT, Record},
    yaml::{
        Id, Kind, Tree,
        splice::{At, Splice},
        value::Value,
    },
};

pub(crate) use container::{Container, containers, port_by_name};
pub(crate) use port::Ports;
pub(crate) use sidecar::Written;
pub(crate) use undo::{record_of, undo};

/// Name of the container and of its volume.
pub(crate) const SIDECAR: &str = "outrigger";

/// Where the containers are.
const LISTS: [&str; 2] = ["initContainers", "containers"];

/// What becomes of a workload.
pub(crate) enum Verdict {
    /// It asks for none.
    OptedOut(String),
    /// It cannot have one.
    Skipped(String),
    Injected(Injected),
}

/// A pod template that was given a sidecar.
pub(crate) struct Injected {
    pub(crate) ports: Ports,
    /// Name of the ConfigMap that has to be made.
    pub(crate) config_map: Option<String>,
    /// How, for the report.
    pub(crate) detail: String,
    /// The sidecar stands behind the init container of `--after-init`.
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
    /// The template of a workload; `None` for one without.
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

    /// The labels that a Service would select by.
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

/// Decides about a workload and puts the sidecar in.
///
/// # Errors
/// Each thing that is in the way.
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
    put(pod, options, ports, written, splice)
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

fn put(
    pod: &Pod<'_, '_>,
    options: &Options,
    ports: Ports,
    written: &mut Written,
    splice: &mut Splice<'_, '_>,
) -> Result<Injected, Wrong> {
    let mut record = Record::new(if options.classic { "classic" } else { "native" });
    let mut notes = Vec::new();
    let config_map = sidecar::config_map(pod, options)?;
    let arguments = probes::put(pod, options, &ports, splice, &mut record, &mut notes)?;
    let container = written.container(options, &ports, arguments);
    let behind_init = put_container(pod, options, &container, splice, &mut record, &mut notes)?;
    put_volume(pod, options, config_map.as_deref(), splice, &mut record)?;
    let app = container::app(pod, &ports);
    hooks::put_sleep(pod, options, app, splice, &mut record, &mut notes)?;
    grace::put(pod, options, splice, &mut record, &mut notes)?;
    let annotations = annotations(pod, &ports, app);
    annotate(splice, pod.map, annotations, record)?;
    if !options.rewrite_probes {
        hooks::note_probes(pod, &ports, &mut notes);
    }
    skip::note_webhooks(pod, &mut notes);
    let kind = if options.classic {
        "classic container"
    } else {
        "native sidecar"
    };
    let way = match ports.app {
        Some(app) => format!("port {} to the app's {app}", ports.proxy()),
        None => "no app port".to_owned(),
    };
    let config = match &options.config {
        ConfigSource::Generated | ConfigSource::Given(_) => {
            config_map.clone().map(|name| format!("ConfigMap {name}"))
        }
        ConfigSource::ConfigMap(name) => Some(format!("ConfigMap {name}")),
        ConfigSource::Secret(name) => Some(format!("Secret {name}")),
    };
    let mut detail = format!(
        "{kind}, {way}, configuration of {}",
        config.unwrap_or_default()
    );
    for note in notes {
        detail.push_str("; ");
        detail.push_str(&note);
    }
    let makes = matches!(
        options.config,
        ConfigSource::Generated | ConfigSource::Given(_)
    );
    Ok(Injected {
        ports,
        config_map: config_map.filter(|_| makes),
        detail,
        behind_init,
    })
}

fn put_container(
    pod: &Pod<'_, '_>,
    options: &Options,
    value: &Value,
    splice: &mut Splice<'_, '_>,
    record: &mut Record,
    notes: &mut Vec<String>,
) -> Result<bool, Wrong> {
    let tree = pod.tree;
    let name = if options.classic { LISTS[1] } else { LISTS[0] };
    match place(tree, pod.spec, name, true)? {
        Place::There { key, value: list } => {
            let (at, behind) = position(pod, options, list, notes)?;
            let before = splice.add_item(list, key, at, value);
            record
                .was
                .extend(before.map(|before| (name.to_owned(), before)));
            Ok(behind)
        }
        Place::Missing => {
            // Above `containers`, which every pod has.
            let at = entry_number(tree, pod.spec, LISTS[1])
                .and_then(|index| index.checked_sub(1))
                .map_or(At::First, At::Behind);
            let (_, behind) = position(pod, options, pod.spec, notes)?;
            record.made.push(name.to_owned());
            splice.add_entries(
                pod.spec,
                pod.spec,
                at,
                &[(name.to_owned(), Value::List(vec![value.clone()]))],
            );
            Ok(behind)
        }
    }
}

/// The number of an own entry of a map.
fn entry_number(tree: &Tree<'_>, map: Id, name: &str) -> Option<usize> {
    match &tree.node(map).kind {
        Kind::Map(entries) => entries
            .iter()
            .position(|(key, _)| tree.scalar(*key) == Some(name)),
        _ => None,
    }
}

/// First among the init containers, or behind the one that is named; a classic sidecar is the last container.
fn position(
    pod: &Pod<'_, '_>,
    options: &Options,
    list: Id,
    notes: &mut Vec<String>,
) -> Result<(At, bool), Wrong> {
    let tree = pod.tree;
    let items = tree.items(list);
    if options.classic {
        return Ok((
            items.len().checked_sub(1).map_or(At::First, At::Behind),
            false,
        ));
    }
    let annotation = pod.annotation(AFTER_INIT);
    let Some(wanted) = annotation.or(options.after_init.as_deref()) else {
        return Ok((At::First, false));
    };
    let names: Vec<&str> = items
        .iter()
        .filter_map(|item| tree.text_of(*item, "name"))
        .collect();
    let found = items
        .iter()
        .position(|item| tree.text_of(*item, "name") == Some(wanted));
    match found {
        Some(index) => {
            notes.push(format!("behind the init container {wanted}"));
            Ok((At::Behind(index), true))
        }
        None if annotation.is_some() => {
            let message = format!(
                "there is no init container {wanted:?}, which the annotation {AFTER_INIT} names"
            );
            let help = match names[..] {
                [] => "the pod has none; remove the annotation".to_owned(),
                _ => format!("name one of: {}", names.join(", ")),
            };
            Err(Wrong::new(pod.line(), message, help))
        }
        None => Ok((At::First, false)),
    }
}

fn put_volume(
    pod: &Pod<'_, '_>,
    options: &Options,
    config_map: Option<&str>,
    splice: &mut Splice<'_, '_>,
    record: &mut Record,
) -> Result<(), Wrong> {
    let value = sidecar::volume(options, config_map);
    match place(pod.tree, pod.spec, "volumes", true)? {
        Place::There { key, value: list } => {
            let before = splice.add_item(list, key, At::First, &value);
            record
                .was
                .extend(before.map(|before| ("volumes".to_owned(), before)));
        }
        Place::Missing => {
            let at = entry_number(pod.tree, pod.spec, LISTS[1]).map_or(At::First, At::Behind);
            record.made.push("volumes".to_owned());
            let volumes = Value::List(vec![value]);
            splice.add_entries(pod.spec, pod.spec, at, &[("volumes".to_owned(), volumes)]);
        }
    }
    Ok(())
}

/// What Prometheus and `kubectl` need to know, where the pod does not say something else.
fn annotations(pod: &Pod<'_, '_>, ports: &Ports, app: Option<Id>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let scraped = [
        "prometheus.io/scrape",
        "prometheus.io/port",
        "prometheus.io/path",
    ]
    .iter()
    .any(|name| pod.annotation(name).is_some());
    if !scraped {
        found.push(("prometheus.io/scrape".to_owned(), "true".to_owned()));
        found.push(("prometheus.io/port".to_owned(), ports.status.to_string()));
        found.push(("prometheus.io/path".to_owned(), "/metrics".to_owned()));
    }
    const DEFAULT: &str = "kubectl.kubernetes.io/default-container";
    let name = app.and_then(|app| pod.tree.text_of(app, "name"));
    if let Some(name) = name.filter(|_| pod.annotation(DEFAULT).is_none()) {
        found.push((DEFAULT.to_owned(), name.to_owned()));
    }
    found
}
