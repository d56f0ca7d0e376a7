//! The buffer between sources and sinks: first memory, then segments on disk, both bounded.
//!
//! It is one queue of numbered chunks; the oldest ones may lie on disk, the others in memory. Each sink has its own place in it.
//! A chunk that every sink has acknowledged is committed and gone. While the slowest sink makes progress and holds up no other,
//! a full memory lets reading wait: the log files are the buffer. Otherwise the older chunks move to disk, and when that is
//! full as well, reading waits or the oldest segment is dropped, as configured.

pub mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use self::segment::{Segment, SegmentReader};
use crate::{chunk::Chunk, source::identity::Verified};

/// A sink that has acknowledged nothing for this time does not make progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// After the disk refused a write.
const DISK_PAUSE: Duration = Duration::from_secs(5);

/// What happens when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Reading waits.
    Block,
    /// The oldest chunks are dropped, and counted for each sink that has not acknowledged them.
    DropOldest,
}

/// How large the buffer may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in memory.
    pub memory: usize,
    /// Bytes on disk.
    pub disk: u64,
    /// What happens then.
    pub when_full: WhenFull,
}

/// What every sink has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The source.
    pub source: Arc<str>,
    /// The file.
    pub key: u64,
    /// Everything before this offset.
    pub end: u64,
    /// What was verified up to there.
    pub verified: Verified,
}

/// Records that were dropped for a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The sink.
    pub sink: String,
    /// How many.
    pub records: u64,
}

/// Where reading goes on after a restart, for each file: an offset and what was verified.
pub type Positions = BTreeMap<(String, u64), (u64, Verified)>;

/// The queue.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    limits: Limits,
    segments: VecDeque<Segment>,
    disk_bytes: u64,
    /// The number of the first chunk in memory.
    first: u64,
    memory: VecDeque<Rc<Chunk>>,
    memory_bytes: usize,
    cursors: BTreeMap<String, Cursor>,
    disk_retry_at: Option<Instant>,
    disk_told: bool,
    dropped: Vec<Dropped>,
    commits: Vec<Commit>,
}

/// Where a sink is.
#[derive(Debug)]
struct Cursor {
    /// The number of the next chunk that it has not acknowledged.
    acked: u64,
    /// The number of the next chunk that it is given.
    next: u64,
    /// Reads the segment in which `next` lies.
    reader: Option<SegmentReader>,
    progress: Instant,
}

impl Commit {
    fn of(chunk: &Chunk) -> Self {
        Self {
            source: Arc::clone(&chunk.source),
            key: chunk.key,
            end: chunk.end,
            verified: chunk.verified,
        }
    }
}

impl Spool {
    /// Takes up what an earlier run left in the directory. `sinks` says where each of them is; one that is new, or unknown because
    /// the checkpoint is lost, begins with the oldest chunk.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(
        directory: &Path,
        limits: Limits,
        sinks: &[(String, Option<u64>)],
        now: Instant,
    ) -> io::Result<(Self, Positions)> {
        fs::create_dir_all(directory)?;
        let mut spool = Self {
            directory: directory.to_owned(),
            limits,
            segments: VecDeque::new(),
            disk_bytes: 0,
            first: 0,
            memory: VecDeque::new(),
            memory_bytes: 0,
            cursors: BTreeMap::new(),
            disk_retry_at: None,
            disk_told: false,
            dropped: Vec::new(),
            commits: Vec::new(),
        };
        let positions = spool.recover(Segment::all(directory)?);
        // Numbers go on where those of the checkpoint end, or an old place would hide new chunks.
        let known = sinks.iter().filter_map(|(_, next)| *next).max();
        if spool.segments.is_empty() {
            spool.first = spool.first.max(known.unwrap_or(0));
        }
        let (oldest, end) = (spool.oldest(), spool.end());
        for (name, next) in sinks {
            let acked = next.map_or(oldest, |next| next.clamp(oldest, end));
            let cursor = Cursor {
                acked,
                next: acked,
                reader: None,
                progress: now,
            };
            spool.cursors.insert(name.clone(), cursor);
        }
        spool.release();
        Ok((spool, positions))
    }

    fn recover(&mut self, segments: Vec<Segment>) -> Positions {
        let mut positions = Positions::new();
        let mut whole = true;
        for mut segment in segments {
            // A gap in the numbers: the chunks before it were committed, or lost with their file.
            let expected = self.end();
            if segment.first < expected {
                segment.remove();
                continue;
            }
            if !self.segments.is_empty() && segment.first > expected {
                whole = false;
            }
            let is_whole = segment.check(|chunk| {
                if whole {
                    let key = (chunk.source.to_string(), chunk.key);
                    positions.insert(key, (chunk.end, chunk.verified));
                }
            });
            if segment.count == 0 {
                whole &= is_whole;
                segment.remove();
                continue;
            }
            if !is_whole && whole {
                // Behind this reading begins again in the files; what follows on disk is sent as well.
                tracing::warn!(
                    first = segment.first,
                    "logs: a segment of the spool ends early or is damaged; the rest is read again from the log files"
                );
                whole = false;
            }
            self.first = segment.first + segment.count;
            self.disk_bytes += segment.bytes;
            self.segments.push_back(segment);
        }
        positions
    }

    /// The number of the oldest chunk that is kept.
    fn oldest(&self) -> u64 {
        self.segments.front().map_or(self.first, |one| one.first)
    }

    /// The number of the chunk that comes next.
    fn end(&self) -> u64 {
        self.first + self.memory.len() as u64
    }

    /// Where each sink is.
    pub fn cursors(&self) -> impl Iterator<Item = (&String, u64)> {
        self.cursors
            .iter()
            .map(|(name, cursor)| (name, cursor.acked))
    }

    /// Bytes in memory and on disk.
    pub fn bytes(&self) -> (usize, u64) {
        (self.memory_bytes, self.disk_bytes)
    }

    /// What was dropped since this was last asked.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// What every sink has acknowledged since this was last asked.
    pub fn take_commits(&mut self) -> Vec<Commit> {
        std::mem::take(&mut self.commits)
    }

    /// Whether another chunk may be read. Moves chunks to disk, or drops some, where that is due.
    pub fn has_room(&mut self, now: Instant) -> bool {
        self.memory_bytes < self.limits.memory || (!self.may_wait(now) && self.make_room(now))
    }

    /// The same without waiting for a sink: the process ends.
    pub fn has_room_at_end(&mut self, now: Instant) -> bool {
        self.memory_bytes < self.limits.memory || self.make_room(now)
    }

    fn make_room(&mut self, now: Instant) -> bool {
        self.spill(self.limits.memory / 2, now);
        while self.memory_bytes >= self.limits.memory
            && self.limits.when_full == WhenFull::DropOldest
        {
            self.drop_oldest();
            self.spill(self.limits.memory / 2, now);
        }
        self.memory_bytes < self.limits.memory
    }

    /// Whether the slowest sink makes progress and no other one waits for chunks.
    fn may_wait(&self, now: Instant) -> bool {
        let end = self.end();
        let slowest = self.cursors.values().min_by_key(|cursor| cursor.acked);
        let idle = self.cursors.values().any(|cursor| cursor.acked == end);
        slowest.is_some_and(|one| now.saturating_duration_since(one.progress) < PATIENCE) && !idle
    }

    /// When [`has_room`](Self::has_room) may say something else although no sink made progress.
    pub fn look_again(&self, now: Instant) -> Instant {
        self.disk_retry_at
            .unwrap_or(now + PATIENCE)
            .min(now + PATIENCE)
    }

    /// One more chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.memory_bytes += chunk.memory();
        self.memory.push_back(Rc::new(chunk));
    }

    /// Moves the oldest chunks from memory to disk until so many bytes are left, or the disk is full.
    fn spill(&mut self, left: usize, now: Instant) {
        if self.disk_retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.disk_retry_at = None;
        while self.memory_bytes > left {
            let Some(chunk) = self.memory.front() else {
                return;
            };
            let payload = segment::encode(chunk);
            if self.disk_bytes + payload.len() as u64 > self.limits.disk {
                return;
            }
            if let Err(error) = self.write(&payload) {
                if !self.disk_told {
                    tracing::error!(directory = %self.directory.display(), %error, "logs: the spool cannot be written; what does not fit into memory waits in the log files");
                }
                self.disk_told = true;
                self.disk_retry_at = Some(now + DISK_PAUSE);
                return;
            }
            self.disk_told = false;
            self.pop_memory();
        }
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let largest = (self.limits.disk / 8).clamp(64 * 1024, 4 << 20);
        if let Some(last) = self.segments.back_mut()
            && last.is_open()
            && last.bytes >= largest
        {
            last.close();
        }
        if !self.segments.back().is_some_and(Segment::is_open) {
            let segment = Segment::create(&self.directory, self.first)?;
            self.disk_bytes += segment.bytes;
            self.segments.push_back(segment);
        }
        if let Some(last) = self.segments.back_mut() {
            let before = last.bytes;
            last.append(payload)?;
            self.disk_bytes += last.bytes - before;
        }
        Ok(())
    }

    fn pop_memory(&mut self) {
        if let Some(chunk) = self.memory.pop_front() {
            self.memory_bytes -= chunk.memory();
            self.first += 1;
        }
    }

    /// Drops the oldest segment, or the oldest chunk in memory.
    fn drop_oldest(&mut self) {
        let Some(segment) = self.segments.pop_front() else {
            if let Some(chunk) = self.memory.front().cloned() {
                self.skip(self.first, &chunk);
                self.pop_memory();
            }
            return;
        };
        self.disk_bytes -= segment.bytes;
        let mut reader = segment.read().ok();
        while let Some(reader) = &mut reader
            && let number = reader.next
            && let Ok(Some((chunk, _))) = reader.chunk()
        {
            self.skip(number, &chunk);
        }
        let end = segment.first + segment.count;
        for cursor in self.cursors.values_mut() {
            cursor.acked = cursor.acked.max(end);
            if cursor.next < end {
                cursor.next = end;
            }
            cursor.reader = None;
        }
        segment.remove();
    }

    /// A chunk is dropped for the sinks that have not acknowledged it.
    fn skip(&mut self, number: u64, chunk: &Chunk) {
        let mut is_new = false;
        for (name, cursor) in &mut self.cursors {
            if cursor.acked <= number {
                is_new = true;
                cursor.acked = number + 1;
                cursor.next = cursor.next.max(cursor.acked);
                let records = chunk.records.len() as u64;
                self.dropped.push(Dropped {
                    sink: name.clone(),
                    records,
                });
            }
        }
        if is_new {
            self.commits.push(Commit::of(chunk));
        }
    }

    /// The next chunk for a sink, with its number. `None` when there is none yet.
    pub fn next(&mut self, sink: &str) -> Option<(u64, Rc<Chunk>)> {
        loop {
            let cursor = self.cursors.get_mut(sink)?;
            let number = cursor.next;
            if number >= self.first {
                cursor.reader = None;
                let index = usize::try_from(number - self.first).ok()?;
                let chunk = Rc::clone(self.memory.get(index)?);
                cursor.next += 1;
                return Some((number, chunk));
            }
            let known = cursor.reader.as_mut().filter(|one| one.next == number);
            let mut read = known.and_then(|reader| reader.chunk().ok()?);
            if read.is_none() {
                // The reader stood at the end of the segment before.
                cursor.reader = reader_at(&self.segments, number);
                let reader = cursor.reader.as_mut();
                read = reader.and_then(|reader| reader.chunk().ok()?);
            }
            if let Some((chunk, _)) = read {
                cursor.next += 1;
                return Some((number, Rc::new(chunk)));
            }
            // Damage: go on with the next segment.
            cursor.reader = None;
            let next = self
                .segments
                .iter()
                .map(|one| one.first)
                .find(|first| *first > number)
                .unwrap_or(self.first);
            tracing::error!(
                sink,
                from = number,
                to = next,
                "logs: chunks of the spool cannot be read and are lost for this sink"
            );
            cursor.next = next;
            cursor.acked = cursor.acked.max(next);
        }
    }

    /// A sink begins again behind what it has acknowledged.
    pub fn rewind(&mut self, sink: &str) {
        if let Some(cursor) = self.cursors.get_mut(sink) {
            cursor.next = cursor.acked;
            cursor.reader = None;
        }
    }

    /// A sink has acknowledged a chunk, and every one before it.
    pub fn acknowledge(&mut self, sink: &str, number: u64, chunk: &Chunk, now: Instant) {
        let before = self.slowest();
        let Some(cursor) = self.cursors.get_mut(sink) else {
            return;
        };
        if number < cursor.acked {
            return; // it was dropped meanwhile
        }
        cursor.acked = number + 1;
        cursor.progress = now;
        if self.slowest() > before {
            self.commits.push(Commit::of(chunk));
            self.release();
        }
    }

    fn slowest(&self) -> u64 {
        let acked = self.cursors.values().map(|cursor| cursor.acked);
        acked.min().unwrap_or_else(|| self.end())
    }

    /// Lets go of what every sink has acknowledged.
    fn release(&mut self) {
        let slowest = self.slowest();
        while let Some(segment) = self
            .segments
            .front()
            .filter(|one| one.first + one.count <= slowest)
        {
            self.disk_bytes -= segment.bytes;
            if let Some(segment) = self.segments.pop_front() {
                segment.remove();
            }
        }
        while self.segments.is_empty() && self.first < slowest && !self.memory.is_empty() {
            self.pop_memory();
        }
    }

    /// Records that wait for the sink that is furthest behind.
    pub fn waiting(&self) -> u64 {
        let behind = self.slowest();
        let memory = self.memory.iter().zip(self.first..);
        let memory: usize = memory
            .filter(|(_, number)| *number >= behind)
            .map(|(chunk, _)| chunk.records.len())
            .sum();
        let mut records = memory as u64;
        for segment in &self.segments {
            let Ok(mut reader) = segment.read() else {
                continue;
            };
            while let number = reader.next
                && let Ok(Some((chunk, _))) = reader.chunk()
            {
                if number >= behind {
                    records += chunk.records.len() as u64;
                }
            }
        }
        records
    }

    /// The process ends: writes what is in memory to disk, as much as has room there. How many records are then only in the log
    /// files.
    pub fn close(&mut self, now: Instant) -> usize {
        self.disk_retry_at = None;
        self.spill(0, now);
        if let Some(last) = self.segments.back_mut() {
            last.close();
        }
        self.memory.iter().map(|chunk| chunk.records.len()).sum()
    }

    /// Whether every sink has acknowledged everything.
    pub fn is_drained(&self) -> bool {
        self.slowest() == self.end()
    }

    /// Other sinks and limits from now on; a new sink begins with what comes from now on.
    pub fn reconfigure(&mut self, limits: Limits, sinks: &[String], now: Instant) {
        self.limits = limits;
        self.cursors.retain(|name, _| sinks.contains(name));
        let end = self.end();
        for name in sinks {
            self.cursors.entry(name.clone()).or_insert(Cursor {
                acked: end,
                next: end,
                reader: None,
                progress: now,
            });
        }
        self.release();
    }
}

fn reader_at(segments: &VecDeque<Segment>, number: u64) -> Option<SegmentReader> {
    let segment = segments
        .iter()
        .find(|one| one.first <= number && number < one.first + one.count)?;
    let mut reader = segment.read().ok()?;
    while reader.next < number {
        reader.chunk().ok()??;
    }
    Some(reader)
}
