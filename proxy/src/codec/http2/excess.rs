//! What a peer does that is nothing but work for us (`docs/security.md` 17): it resets streams before their response begins,
//! or has us reset them, or floods us with PING, SETTINGS or empty DATA.
//!
//! Events are counted over ten seconds. The clock is read only when a count is above its limit: a count that took longer
//! to get there begins anew.

use std::time::Duration;

use tokio::time::Instant;

/// Over how long excess is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Streams without the head of their response that may be reset within [`WINDOW`], if that is over half of the streams.
const RESETS: u64 = 200;

/// PING and SETTINGS within [`WINDOW`], beyond one for each frame of DATA or HEADERS that we sent: clients of gRPC ask
/// often how far away we are, but only while something moves.
const PINGS: u64 = 100;
const SETTINGS: u64 = 20;

/// DATA without payload within [`WINDOW`] beyond one for each frame of HEADERS or of DATA that carries something: a sender
/// that makes no progress with more than this does nothing but work for us.
const EMPTY: u64 = 200;

/// What a peer did too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Streams reset before the head of their response.
    Resets,
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// DATA that is empty.
    Data,
    /// CONTINUATION of one header block.
    Continuation,
    /// Fields that a header block unfolds into.
    Fields,
}

/// What happened on a connection since a moment.
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

    /// The peer sent DATA that carries something, or trailers.
    pub(super) fn progress(&mut self) {
        self.full += 1;
    }

    /// We sent DATA or HEADERS.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A stream without the head of its response was reset; `open` others are there.
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

    /// PING came.
    pub(super) fn ping(&mut self) -> Result<(), Excess> {
        self.pings += 1;
        self.judge(self.pings > PINGS + self.sent, Excess::Pings)
    }

    /// SETTINGS came.
    pub(super) fn settings(&mut self) -> Result<(), Excess> {
        self.settings += 1;
        self.judge(self.settings > SETTINGS + self.sent, Excess::Settings)
    }

    /// DATA without payload came that ends nothing.
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

    /// Begins anew where the counts are of more than [`WINDOW`].
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

    /// The first call that is too much.
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
