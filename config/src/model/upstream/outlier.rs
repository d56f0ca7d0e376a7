//! When an endpoint that fails is ejected, and for how long.

use std::time::Duration;

/// When an endpoint that fails is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutlierDetection {
    /// After so many failures in a row. Default 5.
    pub consecutive_errors: u32,
    /// For this long the first time, twice as long the second, and so on. Default 30 s.
    pub base_ejection_time: Duration,
    /// Never longer than this. Default 5 min, or the base where that is more.
    pub max_ejection_time: Duration,
    /// At most so many of 100 endpoints at a time, and never the last. Default 50; 0 ejects none.
    pub max_ejection_percent: u8,
}
