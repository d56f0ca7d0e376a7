//! The operational log: stderr, text or JSON. The access log is another thing and goes to stdout.
//!
//! A stderr that nobody reads any more loses lines, never the process: without `log_internal_errors(false)` the
//! subscriber would tell stderr that stderr is broken, and that panics.
//!
//! What libraries have to say is for those who look for it: some of them warn of frames, so a client could write our log, and
//! have a worker wait for whoever reads it.

use tracing::Level;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::{LogFormat, color};

pub(super) fn start(level: Level, format: LogFormat) {
    let builder = fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false);
    let filter = filter(level);
    match format {
        LogFormat::Text => builder.with_ansi(color()).finish().with(filter).init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .finish()
            .with(filter)
            .init(),
    }
}

/// Our own events up to `level`, and those of others when somebody debugs.
fn filter(level: Level) -> Targets {
    let others = if level > Level::INFO {
        level
    } else {
        Level::ERROR
    };
    Targets::new()
        .with_default(others)
        .with_target("outrigger", level)
}
