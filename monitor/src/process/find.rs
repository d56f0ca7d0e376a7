//! Which processes are the app.

use std::{fs, path::PathBuf, sync::Arc};

use super::table::{Entry, Table};
use crate::roots::{Roots, read, read_text};

/// The kernel keeps this many bytes of a name.
const NAME_BYTES: usize = 15;

/// How the app's processes are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// By the name of the program, which is the file name of the first argument, or the name that the kernel has.
    Command(Arc<str>),
    /// By a file that has the PID, as the app's PID namespace counts it.
    PidFile(PathBuf),
    /// The processes that hold the socket which listens on the app's address.
    Listener,
}

/// Finds the processes, and remembers those that a search through descriptors found.
#[derive(Debug)]
pub(super) struct Finder {
    select: Select,
    known: Option<Known>,
}

/// What a search found.
#[derive(Debug)]
struct Known {
    /// The sockets that were searched for.
    inodes: Vec<u64>,
    /// The processes that had one of them, each with its start.
    holders: Vec<(u32, u64)>,
}

impl Finder {
    pub(super) fn new(select: Select) -> Self {
        Self {
            select,
            known: None,
        }
    }

    /// The app's processes, without those whose parent is one of them: they are in its tree.
    pub(super) fn find(&mut self, roots: &Roots, table: &Table, inodes: &[u64]) -> Vec<Entry> {
        let found: Vec<Entry> = match &self.select {
            Select::Command(command) => {
                let is_it = |entry: &&Entry| runs(roots, entry, command);
                table.all().filter(is_it).cloned().collect()
            }
            Select::PidFile(file) => {
                let pid =
                    read_text(file).and_then(|text| text.split_whitespace().next()?.parse().ok());
                let entry = pid.and_then(|pid: u32| table.get(pid));
                entry.cloned().into_iter().collect()
            }
            Select::Listener => self.holders(roots, table, inodes),
        };
        let is_in_a_tree = |entry: &Entry| {
            found
                .iter()
                .any(|other| other.pid == entry.parent && other.pid != entry.pid)
        };
        found
            .iter()
            .filter(|entry| !is_in_a_tree(entry))
            .cloned()
            .collect()
    }

    /// The processes that have a descriptor of one of these sockets. Searched for only when the sockets, or the processes, are
    /// others than at the last reading.
    fn holders(&mut self, roots: &Roots, table: &Table, inodes: &[u64]) -> Vec<Entry> {
        let lives =
            |(pid, start): &(u32, u64)| table.get(*pid).filter(|entry| entry.start_ticks == *start);
        if let Some(known) = &self.known
            && known.inodes == inodes
            && !known.holders.is_empty()
            && let Some(entries) = known.holders.iter().map(lives).collect::<Option<Vec<_>>>()
        {
            return entries.into_iter().cloned().collect();
        }
        if inodes.is_empty() {
            return Vec::new(); // nothing listens, and the app is not there
        }
        let holds = |entry: &&Entry| holds_one(roots, entry.pid, inodes);
        let found: Vec<Entry> = table.all().filter(holds).cloned().collect();
        let keys = found.iter().map(Entry::key).collect();
        self.known = Some(Known {
            inodes: inodes.to_vec(),
            holders: keys,
        });
        found
    }
}

fn holds_one(roots: &Roots, pid: u32, inodes: &[u64]) -> bool {
    let folder = roots.proc.join(pid.to_string()).join("fd");
    // Of a process of another user this cannot be read, unless the proxy may trace it.
    let descriptors = fs::read_dir(folder).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| {
            let inode = target.to_str().and_then(|text| {
                text.strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .parse()
                    .ok()
            });
            inode.is_some_and(|inode: u64| inodes.contains(&inode))
        })
}

fn runs(roots: &Roots, entry: &Entry, command: &str) -> bool {
    if entry.name == command && command.len() <= NAME_BYTES {
        return true;
    }
    let line = read(&roots.proc.join(entry.pid.to_string()).join("cmdline")).unwrap_or_default();
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = first
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    name == command.as_bytes()
}
