//! What is given to a sink at once, and what is left of it.

use std::{collections::VecDeque, rc::Rc};

use crate::chunk::{Chunk, RecordRef};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    Sent,
    /// It was refused for good.
    Refused,
    /// It is sent again.
    Again,
}

/// Chunks in order, and which of their records were not acknowledged yet.
#[derive(Debug, Default)]
pub struct Batch {
    chunks: Vec<(u64, Rc<Chunk>)>,
    left: VecDeque<(u32, u32)>,
    bytes: usize,
    /// Records that were acknowledged, and their bytes, since this was last asked.
    sent: (u64, u64),
}

impl Batch {
    /// One more chunk, with its number.
    pub fn push(&mut self, number: u64, chunk: Rc<Chunk>) {
        let index = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        let records = u32::try_from(chunk.records.len()).unwrap_or(u32::MAX);
        self.left.extend((0..records).map(|record| (index, record)));
        self.bytes += chunk.documents.len();
        self.chunks.push((number, chunk));
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether every record was acknowledged or refused for good.
    pub fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Bytes of all documents.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many records are left.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// The records that are left, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.left.iter().map(|place| self.record(*place))
    }

    fn record(&self, (chunk, record): (u32, u32)) -> RecordRef<'_> {
        self.chunks[chunk as usize].1.record(record as usize)
    }

    /// All records that are left were acknowledged.
    pub fn settle_all(&mut self) {
        self.settle(self.left.len(), |_, _| Fate::Sent);
    }

    /// Settles the first records that are left: `fate` says of each, by its index, what became of it.
    pub fn settle(&mut self, count: usize, mut fate: impl FnMut(usize, RecordRef<'_>) -> Fate) {
        let first: Vec<_> = self.left.drain(..count.min(self.left.len())).collect();
        let mut kept = Vec::new();
        for (index, place) in first.into_iter().enumerate() {
            let record = self.record(place);
            let bytes = record.document.len() as u64;
            match fate(index, record) {
                Fate::Again => kept.push(place),
                Fate::Refused => {}
                Fate::Sent => {
                    self.sent.0 += 1;
                    self.sent.1 += bytes;
                }
            }
        }
        kept.into_iter()
            .rev()
            .for_each(|place| self.left.push_front(place));
    }

    /// Records that were acknowledged, and their bytes, since this was last asked.
    pub fn take_sent(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.sent)
    }

    /// All chunks, in order.
    pub fn chunks(&self) -> &[(u64, Rc<Chunk>)] {
        &self.chunks
    }
}
