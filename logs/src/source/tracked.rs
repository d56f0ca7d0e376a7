//! One file that is followed: what was read of it, and what is known of the rest.

use std::{
    collections::VecDeque, io, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration,
};

use tokio::time::Instant;

use super::{
    SourceSettings,
    glob::{self, Found},
    identity::{Content, Head, Verified, checksum},
    open::Reader,
    state::FileState,
};
use crate::{
    chunk::{Chunk, RecordHead},
    counters::SourceCounters,
    record::{Assembler, Outcome, Piece, Report},
};

/// So many bytes before the position are compared before more is read: what was truncated and written again may be longer
/// than it was.
const TAIL: usize = 64;

/// Checksums that are kept of what is not complete yet.
const MARKS: usize = 64;

/// Pauses after an error of a file, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) state: FileState,
    /// Where the content lies now.
    pub(super) real: PathBuf,
    pub(super) compressed: bool,
    pub(super) size: u64,
    pub(super) modified: i64,
    /// Up to where records were given, and what was verified to there.
    pub(super) complete: u64,
    verified: Verified,
    pub(super) reader: Option<Reader>,
    pub(super) assembler: Assembler,
    /// Over everything up to the position of the assembler.
    running: crc32fast::Hasher,
    /// Checksums at offsets that are not complete yet.
    marks: VecDeque<Verified>,
    /// The last bytes before the position.
    tail: Vec<u8>,
    /// Whether `tail` must be compared before more is read.
    suspicious: bool,
    /// Whether there may be more to read.
    pub(super) readable: bool,
    /// Since when no pattern has found it.
    pub(super) gone_since: Option<Instant>,
    /// No name is left in the file system.
    pub(super) unlinked: bool,
    pub(super) last_read: Instant,
    /// Where it stands among those that may be read.
    pub(super) turn: Option<(i64, u64)>,
    /// After an error: how often, and when it is tried again.
    failures: u32,
    pub(super) retry_at: Option<Instant>,
}

/// What a look at an open file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refreshed {
    Same,
    /// It begins anew: truncated, or written over.
    Restarted,
}

impl Tracked {
    pub(super) fn new(
        state: FileState,
        found: &Found,
        reader: Option<Reader>,
        settings: &SourceSettings,
        now: Instant,
    ) -> Self {
        let offset = state.content.offset;
        let verified = state.content.verified;
        Self {
            real: found.real.clone(),
            compressed: reader.as_ref().is_some_and(Reader::is_compressed),
            size: found.size,
            modified: found.modified,
            complete: offset,
            verified,
            assembler: Assembler::new(offset, &settings.assembler),
            running: crc32fast::Hasher::new_with_initial(verified.crc),
            marks: VecDeque::new(),
            tail: Vec::new(),
            suspicious: false,
            readable: true,
            gone_since: None,
            unlinked: false,
            last_read: now,
            turn: None,
            failures: 0,
            retry_at: None,
            reader,
            state,
        }
    }

    /// What was read of it, for a comparison with another file.
    pub(super) fn content(&self) -> Content {
        Content {
            head: self.state.content.head,
            base: self.state.content.base,
            verified: self.verified,
            offset: self.complete,
        }
    }

    /// Whether nothing is known of it: it was empty when it was found, so it was compared with nothing.
    pub(super) fn is_unknown(&self) -> bool {
        self.state.content.head.length == 0 && self.assembler.position() == 0
    }

    /// As it was found.
    pub(super) fn as_found(&self) -> Found {
        Found {
            path: PathBuf::from(&*self.state.path),
            real: self.real.clone(),
            id: self.state.id,
            size: self.size,
            modified: self.modified,
        }
    }

    /// Bytes that are there and not read; for a compressed file 0 or 1, since nothing says how long it is.
    pub(super) fn unread(&self) -> u64 {
        if self.compressed {
            return u64::from(self.readable);
        }
        self.size.saturating_sub(self.assembler.position())
    }

    /// Opens it, if it is not open, and brings the checksum to the position.
    pub(super) fn open(&mut self) -> io::Result<&mut Reader> {
        if self.reader.is_none() {
            let (mut reader, _) = Reader::open(&self.real, self.state.id)?;
            self.compressed = reader.is_compressed();
            self.suspicious = !self.tail.is_empty();
            if self.tail.is_empty() && self.verified.offset < self.assembler.position() {
                let to = self.assembler.position();
                let from = self.verified;
                let crc = checksum(from.offset, to, from.crc, &mut |buffer, at| {
                    reader.read_at(buffer, at)
                })?;
                self.running = crc32fast::Hasher::new_with_initial(crc.unwrap_or(from.crc));
            }
            self.reader = Some(reader);
        }
        // Just set where it was none.
        self.reader
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Looks at the size of the open file.
    pub(super) fn refresh(&mut self) -> io::Result<Refreshed> {
        let Some(reader) = &self.reader else {
            return Ok(Refreshed::Same);
        };
        let metadata = reader.metadata()?;
        let modified = glob::modified(&metadata);
        self.unlinked = metadata.nlink() == 0;
        self.suspicious |= modified != self.modified;
        let changed = modified != self.modified || metadata.len() != self.size;
        self.size = metadata.len();
        self.modified = modified;
        if self.compressed {
            self.readable |= changed;
            return Ok(Refreshed::Same);
        }
        let position = self.assembler.position();
        if self.size < position || (self.suspicious && !self.tail_is_there()?) {
            return Ok(Refreshed::Restarted);
        }
        self.suspicious = false;
        self.readable |= self.size > position;
        Ok(Refreshed::Same)
    }

    /// Whether the last bytes that were read are still there.
    fn tail_is_there(&mut self) -> io::Result<bool> {
        let position = self.assembler.position();
        let Some(reader) = self.reader.as_mut().filter(|_| !self.compressed) else {
            return Ok(true);
        };
        let mut there = vec![0; self.tail.len()];
        let from = position - self.tail.len() as u64;
        let length = super::identity::fill(&mut there, from, &mut |buffer, at| {
            reader.read_at(buffer, at)
        })?;
        Ok(there[..length] == self.tail)
    }

    /// Reads one block; `None` at the end of the file.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        context: &mut Reading<'_>,
    ) -> io::Result<Option<Chunk>> {
        self.open()?;
        if self.suspicious && !self.tail_is_there()? {
            // The next look at it finds out what it is.
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.suspicious = false;
        let position = self.assembler.position();
        let head = self.state.content.head;
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        if !head.is_full() && (!self.compressed || head == Head::default()) {
            self.state.content.head = reader.head()?;
        }
        let length = reader.read_at(buffer, position)?;
        if length == 0 {
            self.readable = false;
            return Ok(None);
        }
        self.failures = 0;
        let block = &buffer[..length];
        if self.assembler.at_line_start() && block.iter().all(|byte| *byte == 0) {
            let end = reader.next_data(position).clamp(
                position + length as u64,
                self.size.max(position + length as u64),
            );
            self.hash_zeros(end - position);
            self.assembler.skip_hole(end - position);
            self.tail.clear();
            let mut chunk = self.chunk(context, |_, _| {});
            let crc = self.running.clone().finalize();
            self.marks.push_back(Verified { offset: end, crc });
            chunk.verified = self.verified_to(chunk.end);
            return Ok(Some(chunk));
        }
        context.counters.count_bytes(length);
        self.last_read = context.now;
        let mut chunk = self.chunk(context, |assembler, (now, emit)| {
            assembler.push(block, now, emit);
        });
        self.hash(block, position);
        chunk.verified = self.verified_to(chunk.end);
        self.keep_tail(block);
        Ok(Some(chunk))
    }

    /// Gives what has waited long enough, or everything.
    pub(super) fn expire(&mut self, everything: bool, context: &mut Reading<'_>) -> Chunk {
        let mut chunk = self.chunk(context, |assembler, (now, emit)| {
            if everything {
                assembler.finish(now, emit);
            } else {
                assembler.expire(now, emit);
            }
        });
        chunk.verified = self.verified_to(chunk.end);
        chunk
    }

    /// Runs the assembler and collects what it gives.
    fn chunk(
        &mut self,
        context: &mut Reading<'_>,
        run: impl FnOnce(&mut Assembler, (Instant, &mut dyn FnMut(Piece<'_>))),
    ) -> Chunk {
        let (mut records, mut documents) = (Vec::new(), Vec::new());
        let mut report = Report::default();
        let path = &*self.state.path;
        let mut emit = |piece: Piece<'_>| {
            let parser = &context.settings.parser;
            let outcome = parser.write(&piece, path, context.unix, &mut documents, &mut report);
            if let Outcome::Written(time) = outcome {
                records.push(RecordHead {
                    offset: piece.start,
                    time,
                    // A block and a pending record are far smaller than 4 GiB.
                    document_end: u32::try_from(documents.len()).unwrap_or(u32::MAX),
                });
            }
        };
        run(&mut self.assembler, (context.now, &mut emit));
        let counts = self.assembler.take_counts();
        context
            .counters
            .count_chunk(&report, counts.0, records.len());
        let start = self.complete;
        self.complete = self.assembler.complete();
        documents.shrink_to_fit();
        records.shrink_to_fit();
        Chunk {
            source: Arc::clone(&context.settings.name),
            key: self.state.key,
            start,
            end: self.complete,
            verified: self.verified,
            records,
            documents,
        }
    }

    /// Goes on with the checksum over a block that was read at `position`, and keeps it at the complete offset and at the end.
    fn hash(&mut self, block: &[u8], position: u64) {
        let within = self.complete.saturating_sub(position);
        let within = usize::try_from(within)
            .unwrap_or(usize::MAX)
            .min(block.len());
        for (part, end) in [
            (&block[..within], position + within as u64),
            (&block[within..], position + block.len() as u64),
        ] {
            self.running.update(part);
            let crc = self.running.clone().finalize();
            self.marks.push_back(Verified { offset: end, crc });
        }
        // A line that never ends; the last ones are enough.
        if self.marks.len() > MARKS {
            self.marks.drain(..MARKS / 2);
        }
    }

    fn hash_zeros(&mut self, mut length: u64) {
        let zeros = [0; 64 * 1024];
        while length > 0 {
            let part = zeros
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            self.running.update(&zeros[..part]);
            length -= part as u64;
        }
    }

    fn verified_to(&mut self, end: u64) -> Verified {
        while let Some(mark) = self.marks.front().filter(|mark| mark.offset <= end) {
            self.verified = *mark;
            self.marks.pop_front();
        }
        self.verified
    }

    fn keep_tail(&mut self, block: &[u8]) {
        self.tail
            .extend_from_slice(&block[block.len().saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }

    /// After an error: it is closed and tried again later. Whether this is the first one in a row.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.reader = None;
        let pause = PAUSE.0 * 2_u32.saturating_pow(self.failures.min(10));
        self.retry_at = Some(now + pause.min(PAUSE.1));
        self.failures += 1;
        self.failures == 1
    }

    /// Where the pattern found it now.
    pub(super) fn found(&mut self, found: &Found) {
        if *self.state.path != *found.path.to_string_lossy() {
            self.state.path = found.path.to_string_lossy().into();
        }
        self.real.clone_from(&found.real);
        self.gone_since = None;
    }

    /// The same file, which begins anew: with a new key, from its beginning.
    pub(super) fn restart(
        &mut self,
        key: u64,
        settings: &SourceSettings,
        now: Instant,
    ) -> FileState {
        let fresh = FileState {
            key,
            content: Content::default(),
            acked: (0, Verified::default()),
            ..self.state.clone()
        };
        let mut old = std::mem::replace(&mut self.state, fresh);
        old.content = Content {
            head: old.content.head,
            base: old.content.base,
            verified: self.verified,
            offset: self.complete,
        };
        self.complete = 0;
        self.verified = Verified::default();
        self.assembler = Assembler::new(0, &settings.assembler);
        self.running = crc32fast::Hasher::new();
        self.marks.clear();
        self.tail.clear();
        self.suspicious = false;
        self.readable = true;
        self.last_read = now;
        old
    }
}

/// What reading needs besides the file.
pub(super) struct Reading<'a> {
    pub(super) settings: &'a SourceSettings,
    pub(super) counters: &'a SourceCounters,
    pub(super) now: Instant,
    /// Nanoseconds since 1970.
    pub(super) unix: i64,
}
