//! What moves from sources to sinks: the records of one piece of one file, with the offsets that they cover.

use crate::source::identity::Verified;

/// The records between two offsets of one file, in order.
///
/// An offset is committed when every sink has acknowledged the chunks before it, so a chunk without records is of use: what it
/// covers was filtered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The name of the source.
    pub source: std::sync::Arc<str>,
    /// The file, as it is known to checkpoint and sinks; never 0.
    pub key: u64,
    /// Where the chunk before it ended.
    pub start: u64,
    /// Everything before was read and is in this chunk or an earlier one.
    pub end: u64,
    /// What was verified up to `end`.
    pub verified: Verified,
    /// The records.
    pub records: Vec<RecordHead>,
    /// Their documents, one after the other.
    pub documents: Vec<u8>,
}

/// One record of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// When it happened, in nanoseconds since 1970.
    pub time: i64,
    /// Where its document ends in `documents`.
    pub document_end: u32,
}

/// One record with its document.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// The file.
    pub key: u64,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// When it happened, in nanoseconds since 1970.
    pub time: i64,
    /// A JSON object.
    pub document: &'a [u8],
}

impl Chunk {
    /// The record at an index.
    pub fn record(&self, index: usize) -> RecordRef<'_> {
        let head = self.records[index];
        let begin = index
            .checked_sub(1)
            .map_or(0, |before| self.records[before].document_end);
        RecordRef {
            key: self.key,
            offset: head.offset,
            time: head.time,
            document: &self.documents[begin as usize..head.document_end as usize],
        }
    }

    /// The memory that it takes, about.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.documents.capacity()
            + self.records.capacity() * size_of::<RecordHead>()
    }
}
