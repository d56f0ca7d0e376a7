//! Noticing that the file, or one that it names, changed, and reading it again.
//!
//! Nothing here knows an event loop: [`Watcher`] calls back when something *may* have changed, [`Reloader`]
//! says whether the content really did. The caller owns the debounce window, the poll interval and the
//! publishing, and keeps what it has when a file is refused.

mod mount;
mod reloader;
mod source;
mod watcher;

pub use mount::cannot_update;
pub use reloader::Reloader;
pub use source::{Source, load_path};
pub use watcher::Watcher;
