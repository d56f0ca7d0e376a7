//! How long to wait before another attempt.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use outrigger_config::model::Backoff;

/// Replaces a `Retry-After` that u64 cannot hold, in seconds: longer than any timeout.
const TOO_LONG: u64 = 1 << 32;

/// Exponential backoff with full jitter: a random part of a time that doubles with every retry, so
/// that clients that failed at the same time do not retry at the same time. `random` is from 0 to
/// 1.
pub fn pause(backoff: Backoff, retries_before: u32, random: f64) -> Duration {
    let doubled = backoff.base.saturating_mul(1 << retries_before.min(16));
    doubled.min(backoff.max).mul_f64(random.clamp(0.0, 1.0))
}

/// `Retry-After` of a response: seconds or a date (RFC 9110 section 10.2.3). Anything else is
/// `None`.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(TOO_LONG)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}
