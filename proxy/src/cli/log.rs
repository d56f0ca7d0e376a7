//! The operational log: stderr, text or JSON. The access log is separate and goes to stdout.
//!
//! If stderr is closed, lines are lost and the process continues: without
//! `log_internal_errors(false)` the subscriber would report the error to stderr, and that panics.
//!
//! Events of libraries are hidden by default: some of them warn about single frames, so a client
//! could fill the log, and make a worker wait for its reader.

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

/// The proxy's own events up to `level`; those of libraries only with `debug`.
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
