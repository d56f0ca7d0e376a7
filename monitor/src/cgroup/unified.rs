//! The files of version 2 (`Documentation/admin-guide/cgroup-v2.rst` of the kernel).

use procfs_core::parse_pressure_record;

use super::{Cgroup, Folder, cpus, smallest, working_set};
use crate::roots::{keyed, number, read_text};

/// Adds what one folder says.
pub(super) fn read(folder: &Folder, cgroup: &mut Cgroup) {
    let file = |name: &str| read_text(&folder.path.join(name));
    cgroup.memory_usage = number(&folder.path.join("memory.current"));
    let inactive = file("memory.stat").and_then(|text| keyed(&text, "inactive_file"));
    cgroup.memory_working_set = working_set(cgroup.memory_usage, inactive);
    // `max` is no number, and no limit.
    let limits = folder.lineage().map(|path| path.join("memory.max"));
    cgroup.memory_limit = limits.filter_map(|limit| number(&limit)).min();
    cgroup.oom_kills = file("memory.events").and_then(|text| keyed(&text, "oom_kill"));
    if let Some(stat) = file("cpu.stat") {
        cgroup.cpu_seconds = micros(keyed(&stat, "usage_usec"));
        cgroup.periods = keyed(&stat, "nr_periods");
        cgroup.throttled_periods = keyed(&stat, "nr_throttled");
        cgroup.throttled_seconds = micros(keyed(&stat, "throttled_usec"));
    }
    let quotas = folder.lineage().filter_map(|path| {
        let text = read_text(&path.join("cpu.max"))?;
        let (quota, period) = text.trim().split_once(' ')?;
        cpus(quota.parse().ok()?, period.parse().ok()?)
    });
    cgroup.cpu_limit = smallest(quotas);
    for resource in ["cpu", "memory", "io"] {
        let text = file(&format!("{resource}.pressure")).unwrap_or_default();
        for kind in ["some", "full"] {
            let line = text.lines().find(|line| line.starts_with(kind));
            // Not each kernel has both.
            if let Some(record) = line.and_then(|line| parse_pressure_record(line).ok()) {
                let seconds = record.total as f64 / 1e6;
                cgroup.pressure.push((resource, kind, seconds));
            }
        }
    }
}

fn micros(micros: Option<u64>) -> Option<f64> {
    Some(micros? as f64 / 1e6)
}
