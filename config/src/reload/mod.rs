//! Detects changes of the file and of files that it names, and loads them again.
//!
//! This module is independent of an event loop: [`Watcher`] calls back when something *may* have
//! changed, [`Reloader`] determines whether a content did change. The caller owns the debounce
//! window, the poll interval and the publishing, and keeps the old configuration when a file is
//! rejected.

mod mount;
mod reloader;
mod source;
mod watcher;

pub use mount::cannot_update;
pub use reloader::Reloader;
pub use source::{Source, load_path};
pub use watcher::Watcher;
