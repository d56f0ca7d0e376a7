//! Follows log files and ships their records to central stores, at least once and in order per file.
//!
//! Knows nothing of proxying. Everything runs on one thread of its own.

pub mod checkpoint;
pub mod chunk;
pub mod counters;
pub mod preview;
pub mod record;
pub mod settings;
pub mod shipper;
pub mod sink;
pub mod source;
pub mod spool;
