//! Access log.

use crate::block::Percent;

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
    /// One line's form. Default JSON.
    pub format: AccessLogFormat,
    /// How many of 100 requests are logged, 0-100, fractions allowed; 0 switches it off. Default 100.
    pub sample_percent: Percent,
}

/// One access-log line's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One flat JSON object, names as in `docs/operations.md`.
    Json,
    /// Elastic Common Schema JSON.
    Ecs,
    /// One line for people.
    Text,
}
