//! `telemetry`: the access log.

use serde_json::Value;

use crate::{
    block::{
        At, Either, Percent, Share, Word, block,
        field::word,
        show::{self, Object, percent},
        words,
    },
    part::words::Off,
};

block! {
    /// Telemetry.
    TelemetryBlock {
        /// The access log, or `off`.
        "accessLog" access_log: Either<Word<Off>, AccessLogBlock>,
    }
    later ["metrics", "tracing"]
}

block! {
    /// The access log.
    AccessLogBlock {
        /// Destination. Only value: stdout.
        "output" output: Word<Output>,
        /// Format of a line: `json`, `ecs` (Elastic Common Schema) or `text`. Default json.
        "format" format: Word<AccessLogFormat>,
        /// Percentage of requests that are logged, 0 to 100; 0 disables the log. Default 100.
        "samplePercent" sample_percent: Share,
    }
    later ["redactHeaders"]
}

/// Destination of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
}

/// The `telemetry` block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Telemetry {
    /// The access log.
    pub access_log: AccessLog,
}

/// `telemetry.accessLog`; it goes to stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessLog {
    /// Format of a line. Default JSON.
    pub format: AccessLogFormat,
    /// Percentage of requests that are logged, 0-100, fractions allowed; 0 disables the log.
    /// Default 100.
    pub sample_percent: Percent,
}

/// Format of an access-log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One flat JSON object, with the names in `docs/operations.md`.
    Json,
    /// Elastic Common Schema JSON.
    Ecs,
    /// Plain text, one line.
    Text,
}

words! {
    AccessLogFormat { "json" => Json, "ecs" => Ecs, "text" => Text }
    Output { "stdout" => Stdout }
}

/// All requests are logged.
const SAMPLE_PER_MILLION: u32 = 1_000_000;

/// Validates the block.
pub(crate) fn accept(written: Option<&At<TelemetryBlock>>) -> Telemetry {
    let (share, format) = match written.and_then(|telemetry| telemetry.value.access_log.as_ref()) {
        None => (None, AccessLogFormat::Json),
        Some(At {
            value: Either::Short(Word(Off::Off)),
            ..
        }) => (Some(0), AccessLogFormat::Json),
        Some(At {
            value: Either::Map(block),
            ..
        }) => {
            let _ = &block.output; // its type has checked the one value
            let share = block.sample_percent.as_ref().map(|share| share.value.0);
            (share, word(&block.format, AccessLogFormat::Json))
        }
    };
    let share = share.unwrap_or(SAMPLE_PER_MILLION);
    Telemetry {
        access_log: AccessLog {
            format,
            sample_percent: Percent(share),
        },
    }
}

/// Renders the accepted value.
pub(crate) fn show(telemetry: &Telemetry) -> Value {
    let log = &telemetry.access_log;
    let log = Object::new()
        .with("output", "stdout")
        .with("format", show::word(log.format))
        .with("samplePercent", percent(log.sample_percent));
    Object::new().with("accessLog", log).into()
}
