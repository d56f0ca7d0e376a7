//! `buffer` of `logs`: what waits between sources and sinks.

use serde_json::Value;

use crate::block::{
    At, Size, Word, block,
    field::{size_between, word},
    problem::Report,
    show::{self, Object, size},
    words,
};

block! {
    /// What waits while a sink is slow or unavailable.
    BufferBlock {
        /// Memory for records, 64KiB to 1GiB. Default 4MiB.
        "memory" memory: Size,
        /// Disk below `stateDir` for what has no room there, 1MiB to 64GiB. Default 64MiB.
        "disk" disk: Size,
        /// When both are full: `block` stops reading, so that the log files are the buffer; `dropOldest` drops the oldest records and counts them. Default block.
        "whenFull" when_full: Word<WhenFull>,
    }
}

/// What waits between sources and sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogBuffer {
    /// Bytes in memory. Default 4 MiB.
    pub memory: usize,
    /// Bytes on disk. Default 64 MiB.
    pub disk: u64,
    /// What happens when both are full. Default: reading stops.
    pub when_full: WhenFull,
}

/// What happens when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Reading stops.
    Block,
    /// The oldest records are dropped.
    DropOldest,
}

words! {
    WhenFull { "block" => Block, "dropOldest" => DropOldest }
}

/// Half a minute of a talkative app; small beside a container limit of 64 MiB.
const MEMORY: u64 = 4 << 20;

/// An outage of minutes to an hour; small beside the default limits of an emptyDir.
const DISK: u64 = 64 << 20;

pub(crate) fn accept(written: Option<&At<BufferBlock>>, report: &mut Report) -> LogBuffer {
    let none = BufferBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    let memory = (64 << 10, 1 << 30);
    let disk = (1 << 20, 64 << 30);
    LogBuffer {
        memory: size_between(&block.memory, MEMORY, memory, "64KiB to 1GiB", report),
        disk: size_between(&block.disk, DISK, disk, "1MiB to 64GiB", report) as u64,
        when_full: word(&block.when_full, WhenFull::Block),
    }
}

pub(crate) fn show(buffer: &LogBuffer) -> Value {
    Object::new()
        .with("memory", size(buffer.memory as u64))
        .with("disk", size(buffer.disk))
        .with("whenFull", show::word(buffer.when_full))
        .into()
}
