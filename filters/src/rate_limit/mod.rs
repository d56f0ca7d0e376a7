//! `rateLimits`: a token bucket for each key, shared by all workers of the process.
//!
//! [`bucket`] decides, [`Limiter`] keeps the buckets of one limit. Time is passed in.

pub mod bucket;
mod key;
mod limiter;

pub use key::Key;
pub use limiter::{KEYS, Limiter};
