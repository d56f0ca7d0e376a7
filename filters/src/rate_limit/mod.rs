//! `rateLimits`: a token bucket for each key, shared by all workers of the process.
//!
//! [`bucket`] decides, [`Limiter`] stores the buckets of one limit, [`Limit`] selects the key of a
//! request and applies the result. Time is passed in.
//!
//! # Errors
//!
//! 429 with `Retry-After` (RFC 6585 section 4), unless the limit only reports.

pub mod bucket;
mod key;
mod limit;
mod limiter;
mod shard;
mod step;

pub use key::Key;
pub use limit::Limit;
pub use limiter::{KEYS, Limiter};
pub use step::RateLimitStep;
