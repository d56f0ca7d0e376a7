//! The operational log: stderr, text or JSON. The access log is another thing and goes to stdout.
//!
//! A stderr that nobody reads any more loses lines, never the process: without `log_internal_errors(false)` the
//! subscriber would tell stderr that stderr is broken, and that panics.

use tracing::Level;
use tracing_subscriber::fmt;

use super::{LogFormat, color};

pub(super) fn start(level: Level, format: LogFormat) {
    let builder = fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.with_ansi(color()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
