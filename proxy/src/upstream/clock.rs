//! Time as a number, for what workers share in atomics.

use std::sync::OnceLock;

use tokio::time::Instant;

/// What [`micros`] counts from; one second before it was first asked, so that 0 is always past and never now.
static BEGIN: OnceLock<Instant> = OnceLock::new();

const HEAD_START: u64 = 1_000_000;

/// Microseconds since this process began to count.
pub(crate) fn micros() -> u64 {
    at(Instant::now())
}

/// The same for a moment that was read before.
pub(crate) fn at(moment: Instant) -> u64 {
    let begin = *BEGIN.get_or_init(|| moment);
    HEAD_START + moment.saturating_duration_since(begin).as_micros() as u64
}
