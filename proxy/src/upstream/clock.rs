//! Time as a number, for atomics that workers share.

use std::sync::OnceLock;

use tokio::time::Instant;

/// The zero of [`micros`]: one second before its first call, so that 0 is always in the past.
static BEGIN: OnceLock<Instant> = OnceLock::new();

const HEAD_START: u64 = 1_000_000;

/// Microseconds since the zero of this process.
pub(crate) fn micros() -> u64 {
    let now = Instant::now();
    let begin = *BEGIN.get_or_init(|| now);
    HEAD_START + now.saturating_duration_since(begin).as_micros() as u64
}
