//! What is counted, shared with the thread that shows it. Everything is a plain atomic: the thread of the shipper alone writes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use crate::record::Report;

/// Of one source.
#[derive(Debug, Default)]
pub struct SourceCounters {
    /// Bytes read.
    pub bytes: AtomicU64,
    /// Lines read.
    pub lines: AtomicU64,
    /// Records handed to the sinks.
    pub records: AtomicU64,
    /// Records that `drop` and `keep` removed.
    pub filtered: AtomicU64,
    /// Records that could not be parsed and were sent as text.
    pub parse_errors: AtomicU64,
    /// Records whose timestamp could not be read.
    pub bad_timestamps: AtomicU64,
    /// Records with bytes that are not UTF-8.
    pub invalid_utf8: AtomicU64,
    /// Records that were cut.
    pub truncated: AtomicU64,
    /// Values that were redacted.
    pub redacted: AtomicU64,
    /// Bytes of files that vanished before they were read.
    pub lost_bytes: AtomicU64,
    /// Bytes that are written and not read.
    pub lag_bytes: AtomicU64,
    /// Since when there have been bytes that are not read, in milliseconds since 1970; 0 when there are none.
    pub lag_since: AtomicU64,
    /// Files that are followed.
    pub files: AtomicU64,
    /// Files and directories that may not be read.
    pub unreadable: AtomicU64,
}

/// Of one sink.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Records that it acknowledged.
    pub sent: AtomicU64,
    /// Bytes of documents that it acknowledged.
    pub sent_bytes: AtomicU64,
    /// Requests that were repeated.
    pub retries: AtomicU64,
    /// Records that it refused for good; they are in the dead-letter file.
    pub dead_letters: AtomicU64,
    /// Records that were dropped because the buffer was full.
    pub dropped: AtomicU64,
    /// Whether the last request failed.
    pub failing: AtomicBool,
    /// Why, for `GET /status`.
    pub last_error: Mutex<Option<String>>,
}

/// Of the buffer between them.
#[derive(Debug, Default)]
pub struct BufferCounters {
    /// Bytes in memory.
    pub memory: AtomicU64,
    /// Bytes on disk.
    pub disk: AtomicU64,
    /// Whether reading waits, because the buffer is full.
    pub blocked: AtomicBool,
}

/// Of everything.
#[derive(Debug, Default)]
pub struct Counters {
    sources: Mutex<BTreeMap<String, Arc<SourceCounters>>>,
    sinks: Mutex<BTreeMap<String, Arc<SinkCounters>>>,
    /// Of the buffer.
    pub buffer: BufferCounters,
    /// Checkpoints that could not be written.
    pub checkpoint_errors: AtomicU64,
}

impl Counters {
    /// Those of a source.
    pub fn source(&self, name: &str) -> Arc<SourceCounters> {
        let mut all = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    /// Those of a sink.
    pub fn sink(&self, name: &str) -> Arc<SinkCounters> {
        let mut all = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    /// All sources that are used now, by name.
    pub fn sources(&self) -> Vec<(String, Arc<SourceCounters>)> {
        used(&self.sources)
    }

    /// All sinks that are used now, by name.
    pub fn sinks(&self) -> Vec<(String, Arc<SinkCounters>)> {
        used(&self.sinks)
    }
}

/// What nothing counts in any more is gone.
fn used<T>(all: &Mutex<BTreeMap<String, Arc<T>>>) -> Vec<(String, Arc<T>)> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, one| Arc::strong_count(one) > 1);
    all.iter()
        .map(|(name, one)| (name.clone(), Arc::clone(one)))
        .collect()
}

impl SourceCounters {
    pub(crate) fn count_bytes(&self, length: usize) {
        self.bytes.fetch_add(length as u64, Relaxed);
    }

    pub(crate) fn count_chunk(&self, report: &Report, lines: u64, records: usize) {
        self.lines.fetch_add(lines, Relaxed);
        self.records.fetch_add(records as u64, Relaxed);
        for (counter, number) in [
            (&self.parse_errors, report.parse_errors),
            (&self.bad_timestamps, report.bad_timestamps),
            (&self.redacted, report.redacted),
            (&self.filtered, report.filtered),
            (&self.invalid_utf8, report.invalid_utf8),
            (&self.truncated, report.truncated),
        ] {
            counter.fetch_add(number, Relaxed);
        }
    }
}
