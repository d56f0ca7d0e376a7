//! Excessive work that a peer causes (`docs/security.md` 17): it resets streams before their
//! response begins, or makes this side reset them, or floods it with PING, SETTINGS or empty DATA.
//!
//! Events are counted over ten seconds. The clock is read only when a count exceeds its limit; a
//! count that took longer to get there starts again.

use std::time::Duration;

use tokio::time::Instant;

/// The interval over which events are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Most streams that may be reset before the head of their response within [`WINDOW`], if that is
/// over half of the streams.
const RESETS: u64 = 200;

/// Most PING and SETTINGS frames within [`WINDOW`], beyond one for each frame of DATA or HEADERS
/// that was sent: gRPC clients measure the round-trip time often, but only while data flows.
const PINGS: u64 = 100;
const SETTINGS: u64 = 20;

/// Most DATA frames without payload within [`WINDOW`], beyond one for each HEADERS frame or DATA
/// frame with payload: more than this makes no progress.
const EMPTY: u64 = 200;

/// The kind of excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Streams reset before the head of their response.
    Resets,
    /// PING frames.
    Pings,
    /// SETTINGS frames.
    Settings,
    /// Empty DATA frames.
    Data,
    /// CONTINUATION frames of one header block.
    Continuation,
    /// Size of the decoded headers of a header block.
    Fields,
}

/// Events on a connection in the current interval.
#[derive(Debug)]
pub(super) struct Counts {
    since: Instant,
    streams: u64,
    resets: u64,
    pings: u64,
    settings: u64,
    empty: u64,
    full: u64,
    sent: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self {
            since,
            streams: 0,
            resets: 0,
            pings: 0,
            settings: 0,
            empty: 0,
            full: 0,
            sent: 0,
        }
    }

    /// The peer opened a stream.
    pub(super) fn stream(&mut self) {
        self.streams += 1;
        self.full += 1;
    }

    /// The peer sent DATA with payload, or trailers.
    pub(super) fn progress(&mut self) {
        self.full += 1;
    }

    /// DATA or HEADERS were sent.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A stream was reset before the head of its response; `open` others exist.
    pub(super) fn reset(&mut self, open: usize) -> Result<(), Excess> {
        self.resets += 1;
        if self.resets > RESETS && self.resets * 2 > self.streams && !self.begins_anew() {
            return Err(Excess::Resets);
        }
        if self.resets == 0 {
            (self.resets, self.streams) = (1, open as u64 + 1);
        }
        Ok(())
    }

    /// PING was received.
    pub(super) fn ping(&mut self) -> Result<(), Excess> {
        self.pings += 1;
        self.judge(self.pings > PINGS + self.sent, Excess::Pings)
    }

    /// SETTINGS was received.
    pub(super) fn settings(&mut self) -> Result<(), Excess> {
        self.settings += 1;
        self.judge(self.settings > SETTINGS + self.sent, Excess::Settings)
    }

    /// DATA without payload and without END_STREAM was received.
    pub(super) fn empty_data(&mut self) -> Result<(), Excess> {
        self.empty += 1;
        self.judge(self.empty > EMPTY + self.full, Excess::Data)
    }

    fn judge(&mut self, many: bool, excess: Excess) -> Result<(), Excess> {
        if many && !self.begins_anew() {
            Err(excess)
        } else {
            Ok(())
        }
    }

    /// Starts a new interval when the current one is longer than [`WINDOW`].
    fn begins_anew(&mut self) -> bool {
        let over = self.since.elapsed() >= WINDOW;
        if over {
            *self = Self::new();
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first call that exceeds the limit.
    fn first(mut call: impl FnMut() -> Result<(), Excess>) -> (usize, Excess) {
        (0..10_000)
            .find_map(|n| call().err().map(|excess| (n, excess)))
            .unwrap()
    }

    /// `docs/security.md` 17: rapid resets (CVE-2023-44487).
    #[test]
    fn streams_reset_before_their_response_are_too_many_over_200() {
        let mut counts = Counts::new();
        let each = || {
            counts.stream();
            counts.reset(1)
        };
        assert_eq!(first(each), (200, Excess::Resets));
    }

    #[test]
    fn resets_of_half_of_the_streams_are_none_too_many() {
        let mut counts = Counts::new();
        for _ in 0..2000 {
            counts.stream();
            counts.stream();
            assert_eq!(counts.reset(1), Ok(()));
        }
    }

    #[test]
    fn excess_is_counted_over_ten_seconds() {
        let mut counts = Counts::new();
        for n in 0..2000 {
            if n % 200 == 199 {
                counts.since -= WINDOW;
            }
            counts.stream();
            assert_eq!(
                (counts.reset(1), counts.empty_data()),
                (Ok(()), Ok(())),
                "{n}"
            );
        }
    }

    #[test]
    fn pings_settings_and_empty_data_are_allowed_for_what_moves_and_some_more() {
        let mut counts = Counts::new();
        for _ in 0..50 {
            counts.sent();
            counts.progress();
        }
        assert_eq!(first(|| counts.ping()), (150, Excess::Pings));
        assert_eq!(first(|| counts.settings()), (70, Excess::Settings));
        assert_eq!(first(|| counts.empty_data()), (250, Excess::Data));
    }
}
