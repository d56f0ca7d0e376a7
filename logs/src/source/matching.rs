//! Which of the files that are there are which of those that were read.
//!
//! A file is known by its inode while it is followed. Others are compared with contents that have lost their file, and then
//! with those that still have one: a file that holds everything that was read of another one is its copy (copytruncate,
//! `cp`), its successor (a write to a new file that is renamed over the old one) or its compressed form, and only the rest is
//! read. A copy waits until its original is truncated or gone, since the original is read anyway.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    CLOSE_AFTER, HOLD_DELETED, MOST_OPEN, Reading, Source,
    glob::{self, Found},
    identity::{Content, FileId, Head, Verified, fill},
    new_key,
    open::Reader,
    state::FileState,
    tracked::Tracked,
    unix_now,
};
use crate::chunk::Chunk;

/// How long a possible copy waits, counted from its last growth, for its original to be truncated.
const COPY_WAIT: Duration = Duration::from_secs(10);

/// How long a compressed file must not have grown before it is compared.
const SETTLED: Duration = Duration::from_secs(2);

/// How long a content without a file is remembered.
const ORPHAN_DAYS: u64 = 7;

/// How many contents without a file are remembered.
const MOST_ORPHANS: usize = 2000;

/// After this time nothing takes up the rest of a file that is gone.
const REST_LOST: Duration = Duration::from_secs(60);

/// Bytes at the end of a shorter file that are compared with its possible original.
const END: usize = 4096;

/// A content whose file is not there.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) state: FileState,
    /// Bytes that were there and not read.
    unread: u64,
    /// Records that had only begun when the content lost its file; they go out unless another file has them whole.
    pub(super) rest: Option<Chunk>,
    since: Instant,
}

/// A file that is not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    size: u64,
    since: Instant,
}

/// What a file is.
enum Match {
    /// Its content is known, and has no file.
    Orphan(u64),
    /// It takes the place of a file that is deleted.
    Successor(u64),
    /// It may be a copy of a file that is there, or is not complete: wait.
    Wait,
    New,
}

impl Orphan {
    pub(super) fn new(state: FileState, unread: u64, since: Instant) -> Self {
        Self {
            state,
            unread,
            rest: None,
            since,
        }
    }

    /// The records that had only begun: no other file has them.
    pub(super) fn take_rest(&mut self) -> Option<Chunk> {
        let rest = self.rest.take()?;
        self.state.content.offset = rest.end;
        Some(rest)
    }

    /// Whether it was where a file is now. An inode is given again, so the file must have been made at the same time; where the
    /// file system does not say when, it must have the same name.
    fn is_at(&self, file: &Found, created: Option<i64>) -> bool {
        let same_time = match (self.state.created, created) {
            (Some(old), Some(new)) => old == new,
            _ => *self.state.path == *file.path.to_string_lossy(),
        };
        self.state.id.inode == file.id.inode && same_time
    }
}

impl Source {
    /// Looks which files there are now. Returns the directories whose events matter.
    /// `blocked`: nothing is read at the moment, because every buffer is full.
    pub fn scan(&mut self, now: Instant, blocked: bool) -> BTreeSet<PathBuf> {
        self.look_again = None;
        let scan = self.settings.patterns.scan();
        self.tell(&scan.denied, &scan.outside);
        let found: HashMap<FileId, &Found> = scan.files.iter().map(|one| (one.id, one)).collect();
        let keys: Vec<u64> = self.tracked.keys().copied().collect();
        for key in keys {
            self.look_at(key, &found, now);
        }
        self.retire(now, blocked);
        let mut denied = BTreeSet::new();
        for file in &scan.files {
            if !self.by_id.contains_key(&file.id)
                && let Err(error) = self.attach(file, now)
            {
                self.not_attached(file, &error, &mut denied);
            }
        }
        denied.extend(scan.denied);
        self.denied = denied;
        self.copies.retain(|id, _| found.contains_key(id));
        self.forget_orphans(now);
        self.close_idle();
        self.scanned = true;
        scan.directories.into_iter().collect()
    }

    /// A file came: it may be gone before the next look at all files.
    pub fn appeared(&mut self, path: &Path, now: Instant) {
        if !self.settings.patterns.matches(path) {
            return;
        }
        if let Some(file) = glob::found(path)
            && !self.by_id.contains_key(&file.id)
            && self.attach(&file, now).is_err()
        {
            self.look_again = Some(now);
        }
    }

    /// Problems of paths, each once.
    fn tell(&mut self, denied: &[PathBuf], outside: &[PathBuf]) {
        let source = &self.settings.name;
        for path in denied.iter().filter(|path| !self.denied.contains(*path)) {
            tracing::warn!(%source, directory = %path.display(), uid = uid(), "logs: the directory may not be read by this user; it is tried again");
        }
        for path in outside {
            if self.outside.insert(path.clone()) {
                tracing::warn!(%source, link = %path.display(), "logs: the link leads out of the directory of its pattern and is not followed; allow its target with linkDirectories");
            }
        }
    }

    fn not_attached(&self, file: &Found, error: &io::Error, denied: &mut BTreeSet<PathBuf>) {
        if error.kind() == io::ErrorKind::NotFound {
            return; // it went between two calls
        }
        if !self.denied.contains(&file.path) {
            tracing::warn!(
                source = %self.settings.name, file = %file.path.display(), uid = uid(), %error,
                "logs: the file may not be read by this user; it is tried again"
            );
        }
        denied.insert(file.path.clone());
    }

    /// A file that is followed: whether its name, size or content changed.
    fn look_at(&mut self, key: u64, found: &HashMap<FileId, &Found>, now: Instant) {
        let Some(tracked) = self.tracked.get_mut(&key) else {
            return;
        };
        match found.get(&tracked.state.id) {
            Some(file) => {
                if tracked.real != file.real || *tracked.state.path != *file.path.to_string_lossy()
                {
                    self.by_path.retain(|_, known| *known != key);
                    self.by_path.insert(file.real.clone(), key);
                    self.by_path.insert(file.path.clone(), key);
                }
                tracked.found(file);
                let changed = (file.size, file.modified) != (tracked.size, tracked.modified);
                if tracked.reader.is_none() && !changed && tracked.retry_at.is_none() {
                    return;
                }
            }
            None => drop(tracked.gone_since.get_or_insert(now)),
        }
        if tracked.retry_at.is_some_and(|at| at <= now) {
            tracked.retry_at = None;
        }
        if tracked.reader.is_some() || tracked.gone_since.is_none() {
            self.refresh(key, now);
        }
    }

    /// Takes leave of files whose name is gone, once they were read to their ends.
    fn retire(&mut self, now: Instant, blocked: bool) {
        let over = |tracked: &&Tracked| {
            let Some(_) = tracked.gone_since else {
                return false;
            };
            let quiet = now.saturating_duration_since(tracked.last_read);
            match (tracked.reader.is_some(), tracked.unread()) {
                (false, _) => true,
                (true, 0) => quiet >= CLOSE_AFTER,
                (true, _) => tracked.unlinked && blocked && quiet >= HOLD_DELETED,
            }
        };
        let gone: Vec<u64> = self
            .tracked
            .values()
            .filter(over)
            .map(|one| one.state.key)
            .collect();
        for key in gone {
            self.retire_one(key, now);
        }
        let waits = self.tracked.values().any(|one| one.gone_since.is_some());
        if waits {
            self.look_again = super::earlier(self.look_again, Some(now + CLOSE_AFTER / 10));
        }
    }

    fn retire_one(&mut self, key: u64, now: Instant) {
        self.dequeue(key);
        let Some(mut tracked) = self.tracked.remove(&key) else {
            return;
        };
        let mut context = Reading {
            settings: &self.settings,
            counters: &self.counters,
            now,
            unix: unix_now(),
        };
        self.pending.push_back(tracked.expire(true, &mut context));
        self.unname(&tracked);
        let unread = tracked.unread();
        let mut state = tracked.state.clone();
        state.content = tracked.content();
        state.gone = Some((unix_now() / 1_000_000_000).unsigned_abs());
        self.orphans.insert(key, Orphan::new(state, unread, now));
    }

    fn unname(&mut self, tracked: &Tracked) {
        let key = tracked.state.key;
        self.by_id.remove(&tracked.state.id);
        self.by_path.retain(|_, known| *known != key);
    }

    /// A file that was empty has a content now: it may be a copy.
    pub(super) fn attach_again(&mut self, key: u64, now: Instant) {
        self.dequeue(key);
        let Some(tracked) = self.tracked.remove(&key) else {
            return;
        };
        self.unname(&tracked);
        let file = tracked.as_found();
        // Whatever it is, it is still open here.
        if self.attach(&file, now).is_err() {
            self.by_id.insert(file.id, key);
            self.name_paths(&tracked, key);
            self.tracked.insert(key, tracked);
            self.enqueue(key, now);
        }
    }

    /// Finds out what a file is, and follows it.
    fn attach(&mut self, file: &Found, now: Instant) -> io::Result<()> {
        let (mut reader, metadata) = Reader::open(&file.real, file.id)?;
        if reader.is_compressed() && !self.is_settled(file, now) {
            return Ok(());
        }
        let head = match reader.head() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            head => head?,
        };
        let created = glob::created(&metadata);
        let state = match self.matching(file, &mut reader, head, created, now)? {
            Match::Wait => return Ok(()),
            Match::Orphan(key) => self.orphans.remove(&key).map(|orphan| orphan.state),
            Match::Successor(key) => self.take_over(key),
            Match::New => None,
        };
        self.copies.remove(&file.id);
        let state = state.unwrap_or_else(|| self.new_state(file, head));
        let state = FileState {
            path: file.path.to_string_lossy().into(),
            id: file.id,
            created,
            gone: None,
            ..state
        };
        let key = state.key;
        let tracked = Tracked::new(state, file, Some(reader), &self.settings, now);
        self.by_id.insert(file.id, key);
        self.name_paths(&tracked, key);
        self.tracked.insert(key, tracked);
        self.prepare(key, now);
        Ok(())
    }

    /// Brings the checksum of a file that goes on to where its reading goes on.
    fn prepare(&mut self, key: u64, now: Instant) {
        if let Some(tracked) = self.tracked.get_mut(&key)
            && tracked.state.content.offset > 0
        {
            tracked.reader = None;
        }
        self.enqueue(key, now);
    }

    fn new_state(&mut self, file: &Found, head: Head) -> FileState {
        self.new_keys = true;
        let at_end = self.settings.start_at_end && !self.known && !self.scanned;
        let offset = if at_end { file.size } else { 0 };
        let verified = Verified { offset, crc: 0 };
        FileState {
            key: new_key(),
            path: Box::default(),
            id: file.id,
            created: None,
            content: Content {
                head,
                base: offset,
                verified,
                offset,
            },
            acked: (offset, verified),
            gone: None,
        }
    }

    /// The content of a deleted file goes on in another one, behind its last complete record.
    fn take_over(&mut self, key: u64) -> Option<FileState> {
        self.dequeue(key);
        let tracked = self.tracked.remove(&key)?;
        self.unname(&tracked);
        let content = tracked.content();
        Some(FileState {
            content,
            ..tracked.state
        })
    }

    fn matching(
        &mut self,
        file: &Found,
        reader: &mut Reader,
        head: Head,
        created: Option<i64>,
        now: Instant,
    ) -> io::Result<Match> {
        let size = if reader.is_compressed() {
            u64::MAX
        } else {
            file.size
        };
        if head.length == 0 {
            return Ok(Match::New);
        }
        // One of them may have grown, or been truncated, since it was last looked at.
        let alike: Vec<u64> = self
            .tracked
            .values()
            .filter(|one| head.is_full() && one.state.content.head == head)
            .map(|one| one.state.key)
            .collect();
        alike.into_iter().for_each(|key| self.refresh(key, now));
        let mut best: Option<(u64, u64)> = None;
        for (key, orphan) in &self.orphans {
            let content = &orphan.state.content;
            if content.head.is_full() && content.head != head {
                continue;
            }
            let may_be = content.is_distinct() || orphan.is_at(file, created);
            let longer = best.is_none_or(|(offset, _)| content.offset > offset);
            if may_be && longer && is_in(content, size, reader)? {
                best = Some((content.offset, *key));
            }
        }
        if let Some((_, key)) = best {
            return Ok(Match::Orphan(key));
        }
        let mut wait = false;
        let mut successor = None;
        for (key, original) in &mut self.tracked {
            let content = original.content();
            if !content.is_distinct() || !head.is_full() || content.head != head {
                continue;
            }
            if original.unlinked && is_in(&content, size, reader)? {
                successor = Some(*key);
            } else if !original.unlinked && may_be_copy(&content, original, size, reader)? {
                wait = true;
            }
        }
        match successor {
            Some(key) => Ok(Match::Successor(key)),
            None if wait && self.may_wait(file, now) => Ok(Match::Wait),
            None => Ok(Match::New),
        }
    }

    /// Whether a possible copy still waits.
    fn may_wait(&mut self, file: &Found, now: Instant) -> bool {
        let waiting = self.waiting(file, now);
        let end = waiting.since + COPY_WAIT;
        if now < end {
            self.look_again = super::earlier(self.look_again, Some(now + COPY_WAIT / 20));
        }
        now < end
    }

    /// Whether a compressed file has stopped growing.
    fn is_settled(&mut self, file: &Found, now: Instant) -> bool {
        let end = self.waiting(file, now).since + SETTLED;
        // One that was written long ago need not wait.
        let age = unix_now().saturating_sub(file.modified);
        let old = age > 60_000_000_000 && !self.scanned;
        if now < end && !old {
            self.look_again = super::earlier(self.look_again, Some(end));
        }
        now >= end || old
    }

    fn waiting(&mut self, file: &Found, now: Instant) -> Waiting {
        let fresh = Waiting {
            size: file.size,
            since: now,
        };
        let waiting = self.copies.entry(file.id).or_insert(fresh);
        if waiting.size != file.size {
            *waiting = fresh;
        }
        *waiting
    }

    /// Counts what nothing will take up any more, and forgets what is long gone.
    fn forget_orphans(&mut self, now: Instant) {
        let today = (unix_now() / 1_000_000_000).unsigned_abs();
        for orphan in self.orphans.values_mut() {
            orphan.state.gone.get_or_insert(today);
            if orphan.rest.is_some() {
                let end = orphan.since + 2 * COPY_WAIT;
                if now >= end {
                    self.pending.extend(orphan.take_rest());
                } else {
                    self.look_again = super::earlier(self.look_again, Some(end));
                }
            }
            let given_up = now.saturating_duration_since(orphan.since) >= REST_LOST;
            if orphan.unread > 0 && given_up {
                tracing::warn!(
                    source = %self.settings.name, file = %orphan.state.path, bytes = orphan.unread,
                    "logs: the file was gone before it was read to its end"
                );
                self.counters.lost_bytes.fetch_add(orphan.unread, Relaxed);
                orphan.unread = 0;
            }
        }
        let old = today.saturating_sub(ORPHAN_DAYS * 24 * 3600);
        self.orphans.retain(|_, orphan| {
            let useful = orphan.state.content.is_distinct()
                || orphan.state.acked.0 < orphan.state.content.offset
                || now.saturating_duration_since(orphan.since) < REST_LOST;
            useful && orphan.state.gone.is_none_or(|gone| gone >= old)
        });
        while self.orphans.len() > MOST_ORPHANS {
            let oldest = self.orphans.iter().min_by_key(|(_, one)| one.state.gone);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                return;
            };
            self.orphans.remove(&key);
        }
    }

    /// Closes files that have been idle longest, when too many are open.
    fn close_idle(&mut self) {
        let open = self.tracked.values().filter(|one| one.reader.is_some());
        let surplus = open.count().saturating_sub(MOST_OPEN);
        if surplus == 0 {
            return;
        }
        let mut idle: Vec<(Instant, u64)> = self
            .tracked
            .values()
            .filter(|one| one.reader.is_some() && !one.readable && one.gone_since.is_none())
            .map(|one| (one.last_read, one.state.key))
            .collect();
        idle.sort();
        for (_, key) in idle.into_iter().take(surplus) {
            if let Some(tracked) = self.tracked.get_mut(&key) {
                tracked.reader = None;
            }
        }
    }
}

/// Whether a file holds a content. One that is compressed and still written does not, yet.
fn is_in(content: &Content, size: u64, reader: &mut Reader) -> io::Result<bool> {
    match content.is_in(size, |buffer, at| reader.read_at(buffer, at)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result,
    }
}

/// Whether a file may be a copy of one that is there: not longer, and with the same bytes as far as was read, or at its end.
fn may_be_copy(
    content: &Content,
    original: &mut Tracked,
    size: u64,
    reader: &mut Reader,
) -> io::Result<bool> {
    if reader.is_compressed() {
        return is_in(content, size, reader);
    }
    if original.compressed || size > original.size {
        return Ok(false);
    }
    if size >= content.offset && !is_in(content, size, reader)? {
        return Ok(false);
    }
    let from = size.saturating_sub(END as u64);
    let (mut copy, mut there) = (vec![0; END], vec![0; END]);
    let length = fill(&mut copy, from, &mut |buffer, at| {
        reader.read_at(buffer, at)
    })?;
    let original = original.open()?;
    let same = fill(&mut there[..length], from, &mut |buffer, at| {
        original.read_at(buffer, at)
    })?;
    Ok(same == length && copy[..length] == there[..length])
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
