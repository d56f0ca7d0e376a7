//! The index space of a decoder: the static table, followed by the dynamic one (RFC 7541 section
//! 2.3).

use std::collections::VecDeque;

use super::{
    Error,
    entry::Entry,
    static_table::{self, ENTRIES},
};

/// The size of the dynamic table until the peer changes it (RFC 9113 section 6.5.2): the peer may
/// not have received SETTINGS yet.
const INITIAL_CAPACITY: usize = 4096;

/// The static and the dynamic table. An empty dynamic table needs no heap memory.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest entry comes first.
    pub(super) entries: VecDeque<Entry>,
    /// The sum of their sizes.
    pub(super) size: usize,
    capacity: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            capacity: INITIAL_CAPACITY,
        }
    }

    pub(super) fn get(&self, index: usize) -> Result<&Entry, Error> {
        let Some(place) = index.checked_sub(1) else {
            return Err(Error("index 0"));
        };
        match ENTRIES.get(place) {
            Some(entry) => Ok(entry),
            None => self
                .entries
                .get(place - static_table::LENGTH)
                .ok_or(Error("an index beyond the dynamic table")),
        }
    }

    /// Evicts entries until one of this size fits; returns whether it fits. All are evicted when it
    /// is larger than the table (RFC 7541 section 4.4).
    pub(super) fn make_room(&mut self, size: usize) -> bool {
        self.shrink_to(self.capacity.saturating_sub(size));
        size <= self.capacity
    }

    /// Adds an entry that fits.
    pub(super) fn insert(&mut self, entry: Entry) -> &Entry {
        self.size += entry.size();
        self.entries.push_front(entry);
        &self.entries[0]
    }

    /// Changes the capacity.
    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.shrink_to(capacity);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.size();
        }
    }
}
