//! The operational log: stderr, text or JSON. The access log is another thing and goes to stdout.

use tracing::Level;
use tracing_subscriber::fmt;

use super::{LogFormat, color};

pub(super) fn start(level: Level, format: LogFormat) {
    let builder = fmt().with_writer(std::io::stderr).with_max_level(level).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(color()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
