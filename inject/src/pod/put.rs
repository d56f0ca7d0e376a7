//! Inserts a sidecar into a pod template: container, volume, probes, hooks, grace period and
//! annotations.

use super::{
    Injected, LISTS, Pod, Ports, Written, container, entry_number, grace, hooks, probes, sidecar,
    skip,
};
use crate::{
    annotate::annotate,
    options::{ConfigSource, Options},
    place::{Place, place},
    problem::Wrong,
    record::{AFTER_INIT, Record},
    yaml::{
        Id,
        splice::{At, Splice},
        value::Value,
    },
};

/// Inserts everything.
///
/// # Errors
/// An alias or merge key prevents it, or a value cannot be changed.
pub(super) fn put(
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

/// First of the init containers, or after the one with this name; a classic sidecar is the last
/// container.
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

/// Annotations for Prometheus and `kubectl`, if the pod does not have them already.
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
