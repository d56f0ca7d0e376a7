//! What the app's cgroup, and that of its pod, use and are limited to.
//!
//! A container sees its own cgroup alone, unless the hierarchy of the host is mounted or both share one. What is not visible is
//! absent: figures of the proxy's own container are never shown as those of the app. Out-of-memory kills come from
//! `memory.events` and not from the kernel's log, which another container may not read.

mod legacy;
mod unified;

use std::path::{Component, Path, PathBuf};

use procfs_core::{FromBufRead, ProcessCGroup, ProcessCGroups};

use crate::roots::{Roots, read};

/// Whose cgroup it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// That of the app's main process, which is its container.
    Container,
    /// That of the pod, with all its containers.
    Pod,
}

impl Scope {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
        }
    }
}

/// What a cgroup uses and may use; each is `None` where its file is missing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cgroup {
    /// Whose it is.
    pub scope: Scope,
    /// Memory in use, page cache included, in bytes.
    pub memory_usage: Option<u64>,
    /// The same without the page cache that the kernel can drop at once, as the kubelet counts it, in bytes.
    pub memory_working_set: Option<u64>,
    /// The smallest limit of the cgroup and those above it, in bytes; `None` also where there is no limit.
    pub memory_limit: Option<u64>,
    /// Processes that were killed because the limit was reached.
    pub oom_kills: Option<u64>,
    /// CPU time, in seconds.
    pub cpu_seconds: Option<f64>,
    /// The smallest quota of the cgroup and those above it, in CPUs; `None` also where there is no quota.
    pub cpu_limit: Option<f64>,
    /// Periods of the quota in which processes were ready to run.
    pub periods: Option<u64>,
    /// Those of them in which processes had to stop because the quota was used up.
    pub throttled_periods: Option<u64>,
    /// How long processes had to stop, summed over CPUs, in seconds.
    pub throttled_seconds: Option<f64>,
    /// Resource, `some` or `full`, and how long some or all processes waited for it, in seconds.
    pub pressure: Vec<(&'static str, &'static str, f64)>,
}

impl Cgroup {
    fn new(scope: Scope) -> Self {
        Self {
            scope,
            memory_usage: None,
            memory_working_set: None,
            memory_limit: None,
            oom_kills: None,
            cpu_seconds: None,
            cpu_limit: None,
            periods: None,
            throttled_periods: None,
            throttled_seconds: None,
            pressure: Vec::new(),
        }
    }

    fn is_known(&self) -> bool {
        self.memory_usage.is_some() || self.cpu_seconds.is_some()
    }
}

/// The folders of one cgroup.
struct Folders {
    /// With everything, where version 2 has the controllers.
    unified: Option<Folder>,
    /// Of version 1.
    memory: Option<Folder>,
    cpu: Option<Folder>,
    cpuacct: Option<Folder>,
}

/// A folder, and the mount that it is in.
struct Folder {
    path: PathBuf,
    mount: PathBuf,
}

impl Folder {
    /// The folder and those above it, which limit it as well.
    fn lineage(&self) -> impl Iterator<Item = &Path> {
        let in_mount = |path: &&Path| path.starts_with(&self.mount);
        self.path.ancestors().take_while(in_mount)
    }
}

/// Reads the cgroup of the process and that of its pod; without a process only the pod's, found by that of the proxy.
pub(crate) fn read_cgroups(roots: &Roots, main: Option<u32>) -> Vec<Cgroup> {
    let own = memberships(&roots.proc.join("self/cgroup"));
    let of_app = main.map(|pid| memberships(&roots.proc.join(pid.to_string()).join("cgroup")));
    let container = of_app.as_ref().map(|groups| {
        let folders = folders(roots, groups, &own, |path| Some(path.to_owned()));
        figures(Scope::Container, &folders)
    });
    let pod = folders(roots, of_app.as_ref().unwrap_or(&own), &[], pod_above);
    let pod = figures(Scope::Pod, &pod);
    container
        .into_iter()
        .chain([pod])
        .filter(Cgroup::is_known)
        .collect()
}

fn memberships(file: &Path) -> Vec<ProcessCGroup> {
    let groups = read(file).and_then(|text| ProcessCGroups::from_buf_read(&text[..]).ok());
    groups.map_or_else(Vec::new, |groups| groups.0)
}

/// The folder above that of a container, where it is a pod's: `kubepods-burstable-pod….slice` with the systemd driver, `pod…` with
/// cgroupfs.
fn pod_above(path: &Path) -> Option<PathBuf> {
    let above = path.parent()?;
    let name = above.file_name()?.to_str()?;
    let is_pod = name.starts_with("pod") || (name.starts_with("kubepods") && name.contains("-pod"));
    is_pod.then(|| above.to_owned())
}

/// The visible folders of what `pick` makes of each path. `own` are the memberships of the proxy.
fn folders(
    roots: &Roots,
    groups: &[ProcessCGroup],
    own: &[ProcessCGroup],
    pick: impl Fn(&Path) -> Option<PathBuf>,
) -> Folders {
    let find = |mount: PathBuf, group: &ProcessCGroup| {
        let path = pick(Path::new(&group.pathname))?;
        // Outside of what this cgroup namespace shows.
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let folder = mount.join(path.strip_prefix("/").ok()?);
        if folder.is_dir() {
            return Some(Folder {
                path: folder,
                mount,
            });
        }
        // Version 1 names paths of the host, while the mount shows the proxy's own cgroup as its root.
        let shared = own
            .iter()
            .any(|one| one.hierarchy == group.hierarchy && one.pathname == group.pathname);
        (shared && mount.is_dir()).then(|| Folder {
            path: mount.clone(),
            mount,
        })
    };
    let legacy = |controller: &str| {
        let has_it = |group: &&ProcessCGroup| group.controllers.iter().any(|one| one == controller);
        let group = groups.iter().find(has_it)?;
        let mounts = [controller.to_owned(), group.controllers.join(",")];
        mounts
            .iter()
            .find_map(|mount| find(roots.cgroup.join(mount), group))
    };
    let unified = groups
        .iter()
        .find(|group| group.hierarchy == 0)
        .and_then(|group| {
            let mixed = roots.cgroup.join("unified"); // hybrid: beside the controllers of version 1
            let mount = if mixed.is_dir() {
                mixed
            } else {
                roots.cgroup.clone()
            };
            find(mount, group)
        });
    Folders {
        unified,
        memory: legacy("memory"),
        cpu: legacy("cpu"),
        cpuacct: legacy("cpuacct"),
    }
}

/// What the files say; where both versions have a controller, version 1 has the processes.
fn figures(scope: Scope, folders: &Folders) -> Cgroup {
    let mut cgroup = Cgroup::new(scope);
    if let Some(folder) = &folders.unified {
        unified::read(folder, &mut cgroup);
    }
    if let Some(folder) = &folders.memory {
        legacy::memory(folder, &mut cgroup);
    }
    if let Some(folder) = &folders.cpu {
        legacy::cpu(folder, &mut cgroup);
    }
    if let Some(folder) = &folders.cpuacct {
        legacy::cpuacct(folder, &mut cgroup);
    }
    cgroup
}

/// Usage without the part of the page cache that nothing has asked for lately.
fn working_set(usage: Option<u64>, inactive: Option<u64>) -> Option<u64> {
    Some(usage?.saturating_sub(inactive?))
}

/// A quota in CPUs.
fn cpus(quota: u64, period: u64) -> Option<f64> {
    (period > 0).then(|| quota as f64 / period as f64)
}

/// The smallest limit of all; no limit where none has one.
fn smallest(limits: impl Iterator<Item = f64>) -> Option<f64> {
    limits.reduce(f64::min)
}
