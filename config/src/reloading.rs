//! `reload`: when the file is read again.

use std::time::Duration;

use crate::block::{
    At, Flag, Time, block,
    field::{flag, time, time_or_off},
};

block! {
    /// When the file is read again.
    ReloadBlock {
        /// Whether the file's directory is watched. Default true.
        "watch" watch: Flag,
        /// Fixed window from the first event to the reload. Default 500ms.
        "debounce" debounce: Time,
        /// How often a content hash is compared; 0s switches it off. Default 10s.
        "poll" poll: Time,
    }
    later ["probation"]
    shown_as Reload
}

/// The `reload` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// Whether the file's directory is watched. Default true.
    pub watch: bool,
    /// Fixed window from the first event to the reload. Default 500 ms.
    pub debounce: Duration,
    /// How often a content hash is compared; `None` for `0s`. Default 10 s.
    pub poll: Option<Duration>,
}

/// A ConfigMap swap is a handful of events within milliseconds.
const RELOAD_DEBOUNCE: Duration = Duration::from_millis(500);

/// For file systems that send no events.
const RELOAD_POLL: Duration = Duration::from_secs(10);

/// Checks what was written.
pub(crate) fn accept(written: Option<&At<ReloadBlock>>) -> Reload {
    let none = ReloadBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Reload {
        watch: flag(&block.watch, true),
        debounce: time(&block.debounce, RELOAD_DEBOUNCE),
        poll: time_or_off(&block.poll, Some(RELOAD_POLL)),
    }
}
