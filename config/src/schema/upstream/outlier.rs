//! `outlierDetection` of an upstream.

use crate::block::{Int, Time, block};

block! {
    /// When an endpoint that fails is ejected, and for how long.
    OutlierDetectionBlock {
        /// After so many failures in a row: answers from 500 on, no connection, broken ones, timeouts. 1 to 1000. Default 5.
        "consecutiveErrors" consecutive_errors: Int<1, 1000>,
        /// For how long the first time, over 0; each further time in a row as much longer. Then one request tries it again. Default 30s.
        "baseEjectionTime" base_ejection_time: Time,
        /// Never longer than this, at least baseEjectionTime. Default 5m, or baseEjectionTime where that is more.
        "maxEjectionTime" max_ejection_time: Time,
        /// At most this share of the endpoints at a time, and never the last one, 0 to 100. Default 50; 0 ejects none.
        "maxEjectionPercent" max_ejection_percent: Int<0, 100>,
    }
}
