//! The files of version 1, where each controller has a hierarchy of its own.

use super::{Cgroup, Folder, cpus, smallest, working_set};
use crate::roots::{keyed, number, read_text};

/// Without a limit the file has the largest multiple of a page; no machine has a quarter of that.
const NO_LIMIT: u64 = 1 << 61;

/// Adds what the controller `memory` says.
pub(super) fn memory(folder: &Folder, cgroup: &mut Cgroup) {
    let file = |name: &str| read_text(&folder.path.join(name));
    cgroup.memory_usage = number(&folder.path.join("memory.usage_in_bytes"));
    let inactive = file("memory.stat").and_then(|text| keyed(&text, "total_inactive_file"));
    cgroup.memory_working_set = working_set(cgroup.memory_usage, inactive);
    let limits = folder
        .lineage()
        .map(|path| path.join("memory.limit_in_bytes"));
    cgroup.memory_limit = limits
        .filter_map(|limit| number(&limit))
        .filter(|limit| *limit < NO_LIMIT)
        .min();
    cgroup.oom_kills = file("memory.oom_control").and_then(|text| keyed(&text, "oom_kill"));
}

/// Adds what the controller `cpu` says.
pub(super) fn cpu(folder: &Folder, cgroup: &mut Cgroup) {
    if let Some(stat) = read_text(&folder.path.join("cpu.stat")) {
        cgroup.periods = keyed(&stat, "nr_periods");
        cgroup.throttled_periods = keyed(&stat, "nr_throttled");
        cgroup.throttled_seconds = nanos(keyed(&stat, "throttled_time"));
    }
    // Without a quota it is -1, which is no number of this kind.
    let quotas = folder.lineage().filter_map(|path| {
        let quota = number(&path.join("cpu.cfs_quota_us"))?;
        cpus(quota, number(&path.join("cpu.cfs_period_us"))?)
    });
    cgroup.cpu_limit = smallest(quotas);
}

/// Adds what the controller `cpuacct` says.
pub(super) fn cpuacct(folder: &Folder, cgroup: &mut Cgroup) {
    cgroup.cpu_seconds = nanos(number(&folder.path.join("cpuacct.usage")));
}

fn nanos(nanos: Option<u64>) -> Option<f64> {
    Some(nanos? as f64 / 1e9)
}
