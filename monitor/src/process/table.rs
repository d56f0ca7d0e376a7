//! Every process of the PID namespace, as `/proc/<pid>/stat` shows it to all users.

use std::{collections::HashMap, fs, path::Path};

use procfs_core::{
    FromBufRead, FromRead,
    process::{Stat, Status},
};

use crate::roots::read;

/// One process, by its `stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// At most 15 bytes of its name, or what the process calls itself.
    pub(crate) name: String,
    /// When it started, in ticks since the host did. With the PID it names a process for ever, whereas PIDs are used again.
    pub(crate) start_ticks: u64,
    pub(crate) threads: u64,
    /// CPU time in user mode, with that of children that have ended, in ticks.
    pub(crate) user: u64,
    /// The same in the kernel.
    pub(crate) system: u64,
}

impl Entry {
    /// What names it for ever.
    pub(crate) fn key(&self) -> (u32, u64) {
        (self.pid, self.start_ticks)
    }
}

/// All processes at one moment, without those that have ended and wait for their parent.
#[derive(Debug, Default)]
pub(crate) struct Table(HashMap<u32, Entry>);

impl Table {
    /// Reads it. A process that ends meanwhile is left out.
    pub(crate) fn read(proc: &Path) -> Self {
        let folders = fs::read_dir(proc).into_iter().flatten().flatten();
        let entries = folders.filter_map(|folder| {
            let pid: u32 = folder.file_name().to_str()?.parse().ok()?;
            let entry = entry(pid, &read(&folder.path().join("stat"))?)?;
            Some((pid, entry))
        });
        Self(entries.collect())
    }

    pub(crate) fn get(&self, pid: u32) -> Option<&Entry> {
        self.0.get(&pid)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// A process and all its descendants.
    pub(crate) fn tree<'a>(&'a self, root: &'a Entry) -> Vec<&'a Entry> {
        let mut found = vec![root];
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|entry| entry.pid) {
            let is_child = |entry: &&Entry| entry.parent == parent && entry.pid != parent;
            let children: Vec<&Entry> = self.all().filter(is_child).collect();
            // Files that contradict each other may name a circle.
            for child in children {
                if !found.iter().any(|known| known.pid == child.pid) {
                    found.push(child);
                }
            }
            next += 1;
        }
        found
    }
}

/// Reads `stat`. The name stands in parentheses, and may have spaces and parentheses itself; what follows begins behind the last one.
fn entry(pid: u32, stat: &[u8]) -> Option<Entry> {
    // The parser takes this form for granted.
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    if open < 2 || close < open || close + 3 > stat.len() {
        return None;
    }
    let stat = Stat::from_read(stat).ok()?;
    if matches!(stat.state, 'Z' | 'X' | 'x') {
        return None;
    }
    let waited_for = |ticks: i64| u64::try_from(ticks).unwrap_or_default();
    Some(Entry {
        pid,
        parent: u32::try_from(stat.ppid).unwrap_or_default(),
        start_ticks: stat.starttime,
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        user: stat.utime.saturating_add(waited_for(stat.cutime)),
        system: stat.stime.saturating_add(waited_for(stat.cstime)),
        name: stat.comm,
    })
}

/// What `status` says of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// In bytes.
    pub(super) resident: Option<u64>,
    /// The most that it ever was, in bytes.
    pub(super) resident_peak: Option<u64>,
}

/// Reads `status`, which gives memory in units of 1024 bytes whatever the size of a page is.
pub(super) fn status(text: &str) -> Option<Memory> {
    let status = Status::from_buf_read(text.as_bytes()).ok()?;
    let bytes = |kib: Option<u64>| kib?.checked_mul(1024);
    Some(Memory {
        resident: bytes(status.vmrss),
        resident_peak: bytes(status.vmhwm),
    })
}
