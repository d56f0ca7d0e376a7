//! The grace period: raised if the drain and the app's shutdown do not fit into it, never lowered.

use std::time::Duration;

use super::Pod;
use crate::{
    configuration::Drain,
    options::{ConfigSource, Options},
    place::{Place, scalar_place},
    problem::Wrong,
    record::Record,
    yaml::{
        integer, is_null,
        splice::{At, Splice},
        value::Value,
    },
};

const KEY: &str = "terminationGracePeriodSeconds";

/// The default of Kubernetes.
const DEFAULT: u64 = 30;

pub(super) fn put(
    pod: &Pod<'_, '_>,
    options: &Options,
    splice: &mut Splice<'_, '_>,
    record: &mut Record,
    notes: &mut Vec<String>,
) -> Result<(), Wrong> {
    let needed = needed(options);
    let place = scalar_place(pod.tree, pod.spec, KEY)?;
    let written = match place {
        Place::There { value, .. } if !is_null(pod.tree.node(value)) => {
            let number = integer(pod.tree.node(value));
            let line = pod.tree.node(value).line;
            Some(number.ok_or_else(|| {
                Wrong::new(
                    line,
                    format!("`{KEY}` is no number of seconds"),
                    "write a number",
                )
            })?)
        }
        _ => None,
    };
    if written.unwrap_or(DEFAULT) >= needed {
        return Ok(());
    }
    match place {
        Place::Missing => {
            record.made.push(KEY.to_owned());
            splice.add_entries(
                pod.spec,
                pod.spec,
                At::First,
                &[(KEY.to_owned(), Value::Number(needed))],
            );
        }
        Place::There { key, value } => {
            let before = splice.set_value(key, value, &needed.to_string());
            record.was.push((KEY.to_owned(), before));
        }
    }
    let before = written.map_or_else(
        || format!("the default {DEFAULT}"),
        |seconds| seconds.to_string(),
    );
    notes.push(format!("{KEY} raised from {before} to {needed}"));
    Ok(())
}

/// Whole seconds, more than the drain takes: the app serves requests while it sleeps, and requests
/// in flight at its end have `drainTimeout`.
fn needed(options: &Options) -> u64 {
    let drain = match &options.config {
        ConfigSource::Given(config) => config.drain,
        _ => Drain::default(),
    };
    let before = drain
        .delay
        .max(options.app_prestop_sleep.unwrap_or_default());
    let all = before
        .saturating_add(drain.timeout)
        .saturating_add(drain.flush);
    let rounded_up = u64::from(all.subsec_nanos() > 0);
    all.as_secs()
        .saturating_add(rounded_up)
        .saturating_add(MARGIN.as_secs())
}

/// The time between the end of the drain and the kubelet's SIGKILL.
const MARGIN: Duration = Duration::from_secs(1);
