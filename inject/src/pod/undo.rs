//! Removes a sidecar.

use super::{LISTS, Pod, SIDECAR, containers, probes};
use crate::{
    annotate,
    record::{INJECTED, Record},
    yaml::{Id, Kind, splice::Splice},
};

/// The record of an injection into a pod template.
pub(crate) fn record_of(pod: &Pod<'_, '_>) -> Option<Record> {
    Record::read(pod.annotation(INJECTED)?)
}

/// Removes everything in the record, and everything with the sidecar's name. The sidecar is
/// searched in both lists of containers.
pub(crate) fn undo(pod: &Pod<'_, '_>, record: &Record, splice: &mut Splice<'_, '_>) {
    for list in LISTS.iter().chain(["volumes"].iter()) {
        remove_named(pod.spec, list, record, splice);
    }
    splice.undo_key(pod.spec, "terminationGracePeriodSeconds", record);
    if let Some(app) = app_of(pod, record) {
        undo_sleep(app, record, splice);
    }
    probes::undo(pod, record, splice);
    annotate::undo(splice, pod.map, record);
}

/// Removes the items with the sidecar's name from a list, and the list as well if it was created
/// for them.
fn remove_named(spec: Id, name: &str, record: &Record, splice: &mut Splice<'_, '_>) {
    let tree = splice.tree;
    let Some(entry) = tree.entry(spec, name).filter(|entry| entry.own) else {
        return;
    };
    let Kind::List(items) = &tree.node(entry.value).kind else {
        return;
    };
    let ours: Vec<usize> = (0..items.len())
        .filter(|index| tree.text_of(items[*index], "name") == Some(SIDECAR))
        .collect();
    if ours.is_empty() || ours.len() == items.len() && splice.undo_key(spec, name, record) {
        return;
    }
    splice.remove_items(entry.value, &ours);
}

fn app_of(pod: &Pod<'_, '_>, record: &Record) -> Option<Id> {
    let app = containers(pod.tree, pod.spec)
        .into_iter()
        .find(|container| !record.sleeps.is_empty() && container.name(pod.tree) == record.sleeps)?;
    Some(pod.tree.resolved(app.map))
}

fn undo_sleep(app: Id, record: &Record, splice: &mut Splice<'_, '_>) {
    let tree = splice.tree;
    let Some(lifecycle) = tree.entry(app, "lifecycle").filter(|entry| entry.own) else {
        return;
    };
    let Kind::Map(entries) = &tree.node(lifecycle.value).kind else {
        return;
    };
    if entries.len() == 1 && splice.undo_key(app, "lifecycle", record) {
        return;
    }
    let pre_stop = entries
        .iter()
        .position(|(key, _)| tree.scalar(*key) == Some("preStop"));
    if let Some(index) = pre_stop {
        splice.remove_entries(lifecycle.value, &[index]);
    }
}
