//! Inserts annotations into an object or a pod template, together with the record of all other
//! changes.

use crate::{
    place::{Place, place},
    problem::Wrong,
    record::{INJECTED, Record},
    yaml::{
        Id, Kind,
        splice::{At, Splice},
        value::Value,
    },
};

/// Inserts annotations and the finished record into `metadata.annotations` of a map.
///
/// # Errors
/// An alias or merge key prevents it.
pub(crate) fn annotate(
    splice: &mut Splice<'_, '_>,
    owner: Id,
    annotations: Vec<(String, String)>,
    mut record: Record,
) -> Result<(), Wrong> {
    let tree = splice.tree;
    let owner = tree.resolved(owner);
    record.annotations = annotations.iter().map(|(name, _)| name.clone()).collect();
    let metadata = place(tree, owner, "metadata", false)?;
    let inner = match metadata {
        Place::There { value, .. } if tree.is_map(value) => {
            place(tree, value, "annotations", false)?
        }
        _ => Place::Missing,
    };
    // The record must be complete before it is written, so the replaced text is looked up first.
    let replaced = |place: Place, name: &str| match place {
        Place::There { key, value } if !tree.is_map(value) => splice
            .replaces_null(key, value)
            .map(|before| (name.to_owned(), before)),
        _ => None,
    };
    record.was.extend(replaced(metadata, "metadata"));
    record.was.extend(replaced(inner, "annotations"));
    match (metadata, inner) {
        (Place::Missing, _) => record.made.insert(0, "metadata".to_owned()),
        (_, Place::Missing) => record.made.insert(0, "annotations".to_owned()),
        _ => {}
    }
    let mut entries = vec![(INJECTED.to_owned(), Value::Text(record.write()))];
    entries.extend(
        annotations
            .into_iter()
            .map(|(name, text)| (name, Value::Text(text))),
    );
    let nested = |name: &str, value: Value| vec![(name.to_owned(), value)];
    match (metadata, inner) {
        (Place::Missing, _) => {
            let metadata = nested(
                "metadata",
                Value::Map(nested("annotations", Value::Map(entries))),
            );
            splice.add_entries(owner, owner, At::First, &metadata);
        }
        (Place::There { value, .. }, Place::Missing) if tree.is_map(value) => {
            splice.add_entries(
                value,
                value,
                At::First,
                &nested("annotations", Value::Map(entries)),
            );
        }
        (Place::There { key, value }, Place::Missing) => {
            splice.add_entries(
                value,
                key,
                At::First,
                &nested("annotations", Value::Map(entries)),
            );
        }
        (_, Place::There { key, value }) => {
            splice.add_entries(value, key, At::First, &entries);
        }
    }
    Ok(())
}

/// Removes what [`annotate`] has inserted.
pub(crate) fn undo(splice: &mut Splice<'_, '_>, owner: Id, record: &Record) {
    let tree = splice.tree;
    let owner = tree.resolved(owner);
    let Some(metadata) = tree.entry(owner, "metadata").filter(|entry| entry.own) else {
        return;
    };
    let Some(annotations) = tree
        .entry(metadata.value, "annotations")
        .filter(|entry| entry.own)
    else {
        return;
    };
    let Kind::Map(entries) = &tree.node(annotations.value).kind else {
        return;
    };
    let is_ours = |key: Id| {
        let name = tree.scalar(key).unwrap_or_default();
        name == INJECTED || record.annotations.iter().any(|ours| ours == name)
    };
    let ours: Vec<usize> = (0..entries.len())
        .filter(|index| is_ours(entries[*index].0))
        .collect();
    let all = ours.len() == entries.len();
    let alone = matches!(&tree.node(metadata.value).kind, Kind::Map(entries) if entries.len() == 1);
    if all && alone && splice.undo_key(owner, "metadata", record)
        || all && splice.undo_key(metadata.value, "annotations", record)
    {
        return;
    }
    splice.remove_entries(annotations.value, &ours);
}

impl Splice<'_, '_> {
    /// Removes a key that was inserted, or restores its previous value; `false` if the record
    /// contains neither.
    pub(crate) fn undo_key(&mut self, map: Id, name: &str, record: &Record) -> bool {
        let map = self.tree.resolved(map);
        let Kind::Map(entries) = &self.tree.node(map).kind else {
            return false;
        };
        let Some(index) = entries
            .iter()
            .position(|(key, _)| self.tree.scalar(*key) == Some(name))
        else {
            return false;
        };
        if record.has_made(name) {
            self.remove_entries(map, &[index]);
            return true;
        }
        let Some(before) = record.was(name) else {
            return false;
        };
        self.restore_value(entries[index].0, entries[index].1, before);
        true
    }
}
