//! Finds, follows and reads the files of one source.
//!
//! Synchronous, and driven from outside: [`Source::scan`] looks which files there are, [`Source::written`] says that one grew,
//! [`Source::next_chunk`] reads a block. A file is read to its end through the descriptor that is open, whatever happens
//! to its name. Per file the records come in order; of several files the one that was written last longest ago comes first,
//! so that rotated files are read before their successors.

pub mod glob;
pub mod identity;
mod matching;
mod open;
pub mod state;
#[cfg(test)]
mod tests;
mod tracked;
pub mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    glob::Patterns,
    identity::{FileId, Verified},
    state::FileState,
    tracked::{Reading, Refreshed, Tracked},
};
use crate::{
    chunk::Chunk,
    counters::SourceCounters,
    record::{AssemblerSettings, Parser},
};

/// Bytes that are read at once.
pub const BLOCK: usize = 64 * 1024;

/// A file that was written within this time is read in turn with others.
const LIVE: Duration = Duration::from_secs(5);

/// A file whose name is gone is closed so long after its last byte was read: its writer may still have it open.
const CLOSE_AFTER: Duration = Duration::from_secs(10);

/// A deleted file whose rest cannot be read, because every buffer is full, is held open for so long: it takes space.
const HOLD_DELETED: Duration = Duration::from_secs(600);

/// Files that are open at the same time; idle ones are closed for others.
const MOST_OPEN: usize = 1000;

/// How a source is read.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Its files.
    pub patterns: Patterns,
    /// Whether files that are there at the very first start are read from their end.
    pub start_at_end: bool,
    /// How records are put together.
    pub assembler: AssemblerSettings,
    /// How they are parsed.
    pub parser: Parser,
}

/// One source.
#[derive(Debug)]
pub struct Source {
    settings: SourceSettings,
    counters: Arc<SourceCounters>,
    tracked: BTreeMap<u64, Tracked>,
    by_id: HashMap<FileId, u64>,
    by_path: HashMap<PathBuf, u64>,
    /// Files that may have more: by age, then in turn.
    ready: BTreeSet<(i64, u64, u64)>,
    turn: u64,
    /// Complete records that are not part of a block; they come before the next one.
    pending: VecDeque<Chunk>,
    /// Contents whose file is not there: found again by inode or content.
    orphans: BTreeMap<u64, matching::Orphan>,
    /// Files that may be copies of others; they wait.
    copies: HashMap<FileId, matching::Waiting>,
    denied: BTreeSet<PathBuf>,
    outside: BTreeSet<PathBuf>,
    /// The source was read in an earlier run.
    known: bool,
    scanned: bool,
    /// A key was given that no checkpoint holds.
    new_keys: bool,
    /// Another look is due soon.
    look_again: Option<Instant>,
}

impl Source {
    /// A source with what the last checkpoint knows of it; `None` when it does not know the source.
    pub fn new(
        settings: SourceSettings,
        counters: Arc<SourceCounters>,
        states: Option<Vec<FileState>>,
        now: Instant,
    ) -> Self {
        let known = states.is_some();
        let orphans = states.unwrap_or_default().into_iter();
        Self {
            settings,
            counters,
            tracked: BTreeMap::new(),
            by_id: HashMap::new(),
            by_path: HashMap::new(),
            ready: BTreeSet::new(),
            turn: 0,
            pending: VecDeque::new(),
            orphans: orphans
                .map(|state| (state.key, matching::Orphan::new(state, 0, now)))
                .collect(),
            copies: HashMap::new(),
            denied: BTreeSet::new(),
            outside: BTreeSet::new(),
            known,
            scanned: false,
            new_keys: false,
            look_again: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Whether keys were given since this was last asked: a checkpoint must hold them before their records are sent, or the
    /// same record has another id after a crash.
    pub fn take_new_keys(&mut self) -> bool {
        std::mem::take(&mut self.new_keys)
    }

    /// Every sink has acknowledged a file's records up to here.
    pub fn acknowledge(&mut self, key: u64, end: u64, verified: Verified) {
        let state = match (self.tracked.get_mut(&key), self.orphans.get_mut(&key)) {
            (Some(tracked), _) => &mut tracked.state,
            (None, Some(orphan)) => &mut orphan.state,
            (None, None) => return,
        };
        if end > state.acked.0 {
            state.acked = (end, verified);
        }
    }

    /// What a checkpoint must keep.
    pub fn states(&self) -> impl Iterator<Item = FileState> {
        let tracked = self.tracked.values().map(|one| &one.state);
        let orphans = self.orphans.values().map(|one| &one.state);
        tracked.chain(orphans).map(FileState::committed)
    }

    /// What is known of each file now, for a source that takes over: nothing is read again.
    pub fn positions(&self) -> Vec<FileState> {
        let tracked = self.tracked.values().map(|one| FileState {
            content: one.content(),
            ..one.state.clone()
        });
        let orphans = self.orphans.values().map(|one| one.state.clone());
        tracked.chain(orphans).collect()
    }

    /// A file was written, or may have been.
    pub fn written(&mut self, path: &Path, now: Instant) {
        if let Some(key) = self.by_path.get(path).copied() {
            self.refresh(key, now);
        } else if self.settings.patterns.matches(path) {
            self.look_again = Some(now);
        }
    }

    /// Looks at every file that is open.
    pub fn refresh_all(&mut self, now: Instant) {
        let keys: Vec<u64> = self.tracked.keys().copied().collect();
        keys.into_iter().for_each(|key| self.refresh(key, now));
    }

    fn refresh(&mut self, key: u64, now: Instant) {
        let Some(tracked) = self.tracked.get_mut(&key) else {
            return;
        };
        if tracked.retry_at.is_some_and(|at| at > now) {
            return;
        }
        if tracked.reader.is_none() {
            // It was closed to make room, and has grown.
            if let Err(error) = tracked.open() {
                return self.failed(key, &error, now);
            }
        }
        match tracked.refresh() {
            Ok(Refreshed::Same) if tracked.is_unknown() && tracked.size > 0 => {
                self.attach_again(key, now);
            }
            Ok(Refreshed::Same) => self.enqueue(key, now),
            Ok(Refreshed::Restarted) => self.restart(key, now),
            Err(error) => self.failed(key, &error, now),
        }
    }

    /// Puts a file into its place among those that may have more.
    fn enqueue(&mut self, key: u64, now: Instant) {
        let Some(tracked) = self.tracked.get_mut(&key) else {
            return;
        };
        let waits = tracked.retry_at.is_some_and(|at| at > now);
        if !tracked.readable || tracked.turn.is_some() || waits {
            return;
        }
        let live = unix_now().saturating_sub(LIVE.as_nanos() as i64);
        let age = if tracked.modified < live {
            tracked.modified
        } else {
            i64::MAX
        };
        self.turn += 1;
        tracked.turn = Some((age, self.turn));
        self.ready.insert((age, self.turn, key));
    }

    fn dequeue(&mut self, key: u64) {
        if let Some(tracked) = self.tracked.get_mut(&key)
            && let Some((age, turn)) = tracked.turn.take()
        {
            self.ready.remove(&(age, turn, key));
        }
    }

    /// Whether a file may have more to read.
    pub fn has_more(&self) -> bool {
        !(self.ready.is_empty() && self.pending.is_empty())
    }

    /// Whether records are complete that need no more reading.
    pub fn has_complete(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads one block of the file whose turn it is. `None` when no file has more.
    pub fn next_chunk(&mut self, buffer: &mut [u8], now: Instant) -> Option<Chunk> {
        while let Some(chunk) = self.pending.pop_front() {
            if covers(&chunk) {
                return Some(chunk);
            }
        }
        while let Some((_, _, key)) = self.ready.pop_first() {
            let tracked = self.tracked.get_mut(&key)?;
            tracked.turn = None;
            let mut context = Reading {
                settings: &self.settings,
                counters: &self.counters,
                now,
                unix: unix_now(),
            };
            match tracked.read(buffer, &mut context) {
                Ok(Some(chunk)) => {
                    // Everything that follows in the file comes in its next turn.
                    self.enqueue(key, now);
                    if covers(&chunk) {
                        return Some(chunk);
                    }
                }
                Ok(None) => {}
                // A compressed file that is still written; it goes on when it has grown.
                Err(error)
                    if tracked.compressed && error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    tracked.readable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData && !tracked.compressed => {
                    self.restart(key, now);
                }
                Err(error) => self.failed(key, &error, now),
            }
        }
        None
    }

    /// A file could not be read: it is closed and tried again later.
    fn failed(&mut self, key: u64, error: &io::Error, now: Instant) {
        self.dequeue(key);
        let Some(tracked) = self.tracked.get_mut(&key) else {
            return;
        };
        let first = tracked.failed(now);
        tracked.readable = true;
        let retry_at = tracked.retry_at;
        self.look_again = earlier(self.look_again, retry_at);
        // A file that is not there under its name any more was renamed or deleted: the next look knows.
        if first && error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(
                source = %self.settings.name, file = %tracked.state.path, %error,
                "logs: the file cannot be read; it is tried again, at most once a minute"
            );
        }
    }

    /// The file begins anew: what was read of it may go on in a copy.
    fn restart(&mut self, key: u64, now: Instant) {
        self.dequeue(key);
        let mut context = Reading {
            settings: &self.settings,
            counters: &self.counters,
            now,
            unix: unix_now(),
        };
        let Some(mut tracked) = self.tracked.remove(&key) else {
            return;
        };
        // A copy may have the rest of a line or record that had only begun.
        let before = tracked.content();
        let rest = tracked.expire(true, &mut context);
        let fresh = new_key();
        let mut old = tracked.restart(fresh, &self.settings, now);
        let mut orphan_rest = None;
        if before.is_distinct() && covers(&rest) {
            old.content = before;
            orphan_rest = Some(rest);
        } else {
            self.pending.push_back(rest);
        }
        let mut orphan = matching::Orphan::new(old, 0, now);
        orphan.rest = orphan_rest;
        self.orphans.insert(key, orphan);
        self.by_id.insert(tracked.state.id, fresh);
        self.name_paths(&tracked, fresh);
        self.tracked.insert(fresh, tracked);
        self.new_keys = true;
        self.look_again = Some(now);
        self.enqueue(fresh, now);
    }

    /// Events may name it by either path.
    fn name_paths(&mut self, tracked: &Tracked, key: u64) {
        self.by_path.insert(tracked.real.clone(), key);
        self.by_path
            .insert(PathBuf::from(&*tracked.state.path), key);
    }

    /// When [`expire`](Self::expire) or [`scan`](Self::scan) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let pending = self.tracked.values();
        let pending = pending.filter_map(|one| one.assembler.deadline()).min();
        earlier(pending, self.look_again)
    }

    /// Whether a look is due before the next poll.
    pub fn wants_scan(&self, now: Instant) -> bool {
        self.look_again.is_some_and(|at| at <= now)
    }

    /// Completes records that have waited long enough for more lines; they are the next chunks.
    pub fn expire(&mut self, now: Instant) {
        self.complete(now, false);
    }

    /// Completes all records that wait for more lines: nothing more will come.
    pub fn finish(&mut self, now: Instant) {
        self.complete(now, true);
        let rests = self
            .orphans
            .values_mut()
            .filter_map(matching::Orphan::take_rest);
        self.pending.extend(rests);
    }

    fn complete(&mut self, now: Instant, everything: bool) {
        let mut context = Reading {
            settings: &self.settings,
            counters: &self.counters,
            now,
            unix: unix_now(),
        };
        for tracked in self.tracked.values_mut() {
            let due = tracked.assembler.deadline().is_some_and(|at| at <= now);
            if due || (everything && tracked.assembler.has_pending()) {
                self.pending
                    .push_back(tracked.expire(everything, &mut context));
            }
        }
    }

    /// Shows how far behind reading is.
    pub fn show_lag(&self, unix_millis: u64) {
        let lag: u64 = self.tracked.values().map(Tracked::unread).sum();
        self.counters.lag_bytes.store(lag, Relaxed);
        match (lag, self.counters.lag_since.load(Relaxed)) {
            (0, _) => self.counters.lag_since.store(0, Relaxed),
            (_, 0) => self.counters.lag_since.store(unix_millis, Relaxed),
            _ => {}
        }
        let files = self.tracked.len() as u64;
        self.counters.files.store(files, Relaxed);
        let denied = self.denied.len() as u64;
        self.counters.unreadable.store(denied, Relaxed);
    }
}

/// Whether a chunk says anything.
fn covers(chunk: &Chunk) -> bool {
    chunk.start < chunk.end || !chunk.records.is_empty()
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn new_key() -> u64 {
    fastrand::u64(1..)
}

/// Nanoseconds since 1970.
pub(crate) fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
