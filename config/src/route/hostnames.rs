//! `hostnames` of a route.

use std::collections::HashSet;

use crate::{
    block::{At, problem::Report},
    part::hostname::{self, Hostname},
};

/// Validates the block.
pub(crate) fn accept(written: Option<&At<Vec<At<String>>>>, report: &mut Report) -> Vec<Hostname> {
    let Some(written) = written else {
        return Vec::new();
    };
    if written.value.is_empty() {
        let help = "add a host, or remove the key to match every host";
        report.error(
            &written.place,
            "empty-list",
            "the list of host names is empty",
            help,
        );
    }
    let mut hostnames: Vec<Hostname> = Vec::new();
    let mut named = HashSet::new();
    for item in &written.value {
        let Some(hostname) = hostname::pattern(item, report) else {
            continue;
        };
        if named.insert(hostname.clone()) {
            hostnames.push(hostname);
        } else {
            let message = format!("the host {:?} is listed twice", item.value);
            report.error(
                &item.place,
                "duplicate-reference",
                message,
                "remove one of them",
            );
        }
    }
    hostnames
}
