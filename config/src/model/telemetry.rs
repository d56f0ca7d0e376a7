//! Access log.

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

/// A share of 100 in parts per million, so that it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub(crate) u32);

impl Percent {
    /// A share in parts of 1 000 000, at most all of them.
    pub fn of_million(parts: u32) -> Self {
        Self(parts.min(1_000_000))
    }

    /// The share as parts of 1 000 000.
    pub fn per_million(self) -> u32 {
        self.0
    }
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
