//! What the app's processes use. Needs a PID namespace that the app shares (`shareProcessNamespace: true`).
//!
//! The processes are those that [`Select`] finds, each with all its descendants. Counters are totals over processes that come and
//! go: they rise only, as a counter of Prometheus must. `smaps_rollup` is never read: it takes the kernel seconds for a large
//! process. `io` is not read either: another user may not.

mod find;
mod limits;
mod table;
mod tally;

use std::path::PathBuf;

pub use self::find::Select;
use self::{
    find::Finder,
    limits::Descriptors,
    table::{Entry, Table},
    tally::{Tally, Work},
};
use crate::roots::{Roots, keyed, read_text};

/// Ticks of a second in `/proc/<pid>/stat` (`USER_HZ`): 100 on every architecture that Linux still runs on but one.
pub(crate) const TICKS: u64 = 100;

/// Above this many threads their context switches are not read: each is a file.
const MOST_THREADS: u64 = 1024;

/// What the app's processes use now, and have used.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Processes {
    /// Running processes, descendants included.
    pub count: u64,
    /// CPU time in user mode, in seconds, of all processes since the first reading and of their time before it.
    pub user_seconds: f64,
    /// The same in the kernel.
    pub system_seconds: f64,
    /// Resident memory of all of them, in bytes; pages that they share count for each.
    pub resident_bytes: Option<u64>,
    /// The sum of the largest resident memory that each of them had, in bytes.
    pub resident_peak_bytes: Option<u64>,
    /// Threads of all of them.
    pub threads: u64,
    /// Open descriptors and their limit, of the process that is closest to its limit.
    pub descriptors: Option<(u64, u64)>,
    /// When the main process started, in seconds since 1970.
    pub start_time_seconds: Option<f64>,
    /// How often the main process was replaced by a new one, as far as readings saw it.
    pub restarts: u64,
    /// Context switches, voluntary and involuntary.
    pub context_switches: Option<[u64; 2]>,
    /// The main process: the oldest one that was selected.
    pub(crate) main: Option<u32>,
}

/// Reads the app's processes again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    finder: Finder,
    tally: Tally,
}

impl Watch {
    pub(crate) fn new(select: Select) -> Self {
        Self {
            finder: Finder::new(select),
            tally: Tally::default(),
        }
    }

    /// A reading. `inodes` are those of the sockets that listen on the app's address. What was counted before is there even when no
    /// process is.
    pub(crate) fn read(&mut self, roots: &Roots, inodes: &[u64]) -> Processes {
        let table = Table::read(&roots.proc);
        let mut roots_of_trees = self.finder.find(roots, &table, inodes);
        roots_of_trees.sort_by_key(|entry| (entry.start_ticks, entry.pid));
        let mut found = Processes::default();
        let mut switches = Some(());
        let mut works = Vec::new();
        for root in &roots_of_trees {
            let mut work = Work::default();
            for entry in table.tree(root) {
                work.add_cpu(entry);
                match self.add(roots, entry, &mut found) {
                    Some(counts) => work.add_switches(counts),
                    None => switches = None,
                }
            }
            works.push((root.key(), work));
        }
        let main = roots_of_trees.first();
        self.tally
            .add(&works, main.map(|main| main.key()), |(pid, start)| {
                table
                    .get(pid)
                    .is_some_and(|entry| entry.start_ticks == start)
            });
        found.main = main.map(|main| main.pid);
        found.start_time_seconds = main.and_then(|main| start_time(roots, main));
        found.user_seconds = seconds(self.tally.total.user);
        found.system_seconds = seconds(self.tally.total.system);
        found.restarts = self.tally.restarts;
        found.context_switches = switches.map(|()| self.tally.total.switches);
        found
    }

    /// Adds what one process has; the result are its context switches.
    fn add(&self, roots: &Roots, entry: &Entry, found: &mut Processes) -> Option<[u64; 2]> {
        let folder = roots.proc.join(entry.pid.to_string());
        found.count += 1;
        found.threads += entry.threads;
        let status = read_text(&folder.join("status"));
        let memory = status.as_deref().and_then(table::status);
        if let Some(memory) = memory {
            add_to(&mut found.resident_bytes, memory.resident);
            add_to(&mut found.resident_peak_bytes, memory.resident_peak);
        }
        if let Some(descriptors) = limits::descriptors(&folder) {
            let Descriptors { open, limit } = descriptors;
            let is_closer = found.descriptors.is_none_or(|(most, of)| {
                u128::from(open) * u128::from(of) > u128::from(most) * u128::from(limit)
            });
            if is_closer {
                found.descriptors = Some((open, limit));
            }
        }
        switches(&folder, entry.threads, status.as_deref())
    }
}

fn add_to(sum: &mut Option<u64>, value: Option<u64>) {
    if let Some(value) = value {
        *sum.get_or_insert_default() += value;
    }
}

/// Context switches of a process. Its own `status` has those of the main thread alone.
fn switches(folder: &std::path::Path, threads: u64, status: Option<&str>) -> Option<[u64; 2]> {
    let both = |text: &str| {
        Some([
            keyed(text, "voluntary_ctxt_switches")?,
            keyed(text, "nonvoluntary_ctxt_switches")?,
        ])
    };
    match threads {
        0 | 1 => both(status?),
        2..=MOST_THREADS => {
            let tasks: Vec<PathBuf> = std::fs::read_dir(folder.join("task"))
                .ok()?
                .filter_map(|task| Some(task.ok()?.path().join("status")))
                .collect();
            // A thread that has just ended has no file any more.
            let counts = tasks.iter().filter_map(|task| both(&read_text(task)?));
            Some(counts.fold([0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]]))
        }
        _ => None,
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS as f64
}

fn start_time(roots: &Roots, entry: &Entry) -> Option<f64> {
    let boot = keyed(&read_text(&roots.proc.join("stat"))?, "btime")?;
    Some(boot as f64 + seconds(entry.start_ticks))
}
