//! `reload`: when the file is reloaded.

use std::time::Duration;

use crate::block::{
    At, Flag, Time, block,
    field::{flag, time, time_or_off},
};

block! {
    /// When the file is reloaded.
    ReloadBlock {
        /// Whether changes are detected by watching the directories of the files. Default true.
        "watch" watch: Flag,
        /// Fixed window from the first event to the reload. Default 500ms.
        "debounce" debounce: Time,
        /// Interval at which the content hash is compared; 0s disables it. Default 10s.
        "poll" poll: Time,
    }
    later ["probation"]
    shown_as Reload
}

/// The `reload` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// Whether changes are detected by watching directories. Default true.
    pub watch: bool,
    /// Fixed window from the first event to the reload. Default 500 ms.
    pub debounce: Duration,
    /// Interval at which the content hash is compared; `None` for `0s`. Default 10 s.
    pub poll: Option<Duration>,
}

/// A ConfigMap swap causes several events within milliseconds.
const RELOAD_DEBOUNCE: Duration = Duration::from_millis(500);

/// For file systems that send no events.
const RELOAD_POLL: Duration = Duration::from_secs(10);

/// Validates the block.
pub(crate) fn accept(written: Option<&At<ReloadBlock>>) -> Reload {
    let none = ReloadBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Reload {
        watch: flag(&block.watch, true),
        debounce: time(&block.debounce, RELOAD_DEBOUNCE),
        poll: time_or_off(&block.poll, Some(RELOAD_POLL)),
    }
}
