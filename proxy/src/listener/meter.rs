//! What the frames of an HTTP/2 connection tell that neither hyper nor h2 does (RFC 9113 section 4.1).
//!
//! Both directions are followed by their frame heads alone. From them are known: streams that were reset as malformed or
//! refused, a header block that stops midway, and a client that makes work for nothing (`docs/security.md` 17): it
//! resets streams before their answer begins, or has us reset them, or floods us with PING or SETTINGS.

use std::time::Duration;

use tokio::time::Instant;

/// What a client's side begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Over how long excess is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Streams without the head of their answer that may be reset within [`WINDOW`], if that is over half of the streams.
const RESETS: u64 = 200;

/// PING and SETTINGS within [`WINDOW`], beyond one for each frame of DATA or HEADERS that we sent: clients of gRPC ask
/// often how far away we are, but only while something moves.
const PINGS: u64 = 100;
const SETTINGS: u64 = 20;

/// Streams without the head of their answer that are remembered. h2 has fewer; those that come behind our GOAWAY
/// are ignored and never end.
const REMEMBERED: usize = 2048;

/// What a client did too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Streams reset before the head of their answer.
    Resets,
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// DATA that is empty or nearly so.
    Data,
    /// CONTINUATION of one header block.
    Continuation,
    /// Fields that a header block unfolds into.
    Fields,
}

impl Excess {
    /// What h2 says in its GOAWAY when it is the first to find something too much. It says so nowhere else.
    fn told(words: &[u8]) -> Option<Self> {
        let all = [
            (&b"too_many_resets"[..], Self::Resets),
            (b"too_many_internal_resets", Self::Resets),
            (b"too_many_data_frames", Self::Data),
            (b"too_many_continuations", Self::Continuation),
            (b"header_list_way_too_large", Self::Fields),
        ];
        all.into_iter().find(|(one, _)| *one == words).map(|(_, excess)| excess)
    }
}

/// What was found so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Findings {
    /// Streams that we reset with PROTOCOL_ERROR.
    pub malformed: u64,
    /// Streams that we reset with REFUSED_STREAM.
    pub refused: u64,
    /// Since when a header block, or the head of a frame, has been incomplete.
    pub head_since: Option<Instant>,
    /// What the client has done too often.
    pub excess: Option<Excess>,
    /// The same in the eyes of h2, which then ends the connection itself.
    pub told: Option<Excess>,
}

/// Follows both directions of a connection.
#[derive(Default)]
pub(super) struct Meter {
    read: Frames,
    written: Frames,
    /// Streams that the client has opened and whose answer has not begun.
    waiting: Vec<u32>,
    last_stream: u32,
    /// Whether a header block goes on in the next frame.
    in_block: bool,
    window: Window,
    findings: Findings,
}

/// What happened since a moment at most [`WINDOW`] ago.
#[derive(Default)]
struct Window {
    since: Option<Instant>,
    streams: u64,
    resets: u64,
    pings: u64,
    settings: u64,
    /// Frames of DATA and HEADERS that we sent.
    sent: u64,
}

impl Window {
    /// This one, or a new one when it is over: that begins with the streams that are `waiting`.
    fn current(&mut self, waiting: &[u32]) -> &mut Self {
        let now = Instant::now();
        if self.since.is_none_or(|since| now >= since + WINDOW) {
            *self = Self { since: Some(now), streams: waiting.len() as u64, ..Self::default() };
        }
        self
    }
}

impl Meter {
    /// Begins with the client's preface (RFC 9113 section 3.4).
    pub(super) fn new() -> Self {
        let mut meter = Self::default();
        meter.read.skip = PREFACE.len();
        meter
    }

    /// The client has sent these bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Findings {
        let mut frames = std::mem::take(&mut self.read);
        frames.follow(bytes, |frame| self.client_sent(&frame));
        if !self.in_block && !frames.is_within_head() {
            self.findings.head_since = None;
        } else if self.findings.head_since.is_none() {
            self.findings.head_since = Some(Instant::now());
        }
        self.read = frames;
        self.findings
    }

    /// We have sent these bytes.
    pub(super) fn wrote(&mut self, bytes: &[u8]) -> Findings {
        let mut frames = std::mem::take(&mut self.written);
        frames.follow(bytes, |frame| self.we_sent(&frame));
        self.written = frames;
        self.findings
    }

    /// A GOAWAY with ENHANCE_YOUR_CALM; `None` while a frame of ours is half written.
    pub(super) fn go_away(&self) -> Option<[u8; 17]> {
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        let frame = [0, 0, 8, Frame::GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11];
        self.written.is_between_frames().then_some(frame)
    }

    fn client_sent(&mut self, frame: &Frame<'_>) {
        if !self.in_block {
            self.findings.head_since = None; // what stops midway, if anything does, begins here
        }
        match frame.kind {
            Frame::HEADERS => {
                self.in_block = frame.flags & Frame::END_HEADERS == 0;
                self.opened(frame.stream);
            }
            Frame::CONTINUATION => self.in_block = frame.flags & Frame::END_HEADERS == 0,
            Frame::RST_STREAM if self.forget(frame.stream) => self.reset(),
            Frame::PING => {
                let window = self.window.current(&self.waiting);
                window.pings += 1;
                let many = window.pings > PINGS + window.sent;
                self.note(Excess::Pings, many);
            }
            Frame::SETTINGS => {
                let window = self.window.current(&self.waiting);
                window.settings += 1;
                let many = window.settings > SETTINGS + window.sent;
                self.note(Excess::Settings, many);
            }
            _ => {}
        }
    }

    fn we_sent(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            Frame::DATA => self.window.sent += 1,
            Frame::HEADERS => {
                self.window.sent += 1;
                self.forget(frame.stream);
            }
            Frame::RST_STREAM => self.we_reset(frame.stream, frame.number_at(0)),
            Frame::GOAWAY if frame.number_at(4) == Some(Frame::ENHANCE_YOUR_CALM) => {
                self.findings.told = Excess::told(&frame.payload[8..]);
            }
            _ => {}
        }
    }

    fn we_reset(&mut self, stream: u32, code: Option<u32>) {
        let unanswered = self.forget(stream);
        match code {
            Some(Frame::NO_ERROR) | None => {}
            Some(Frame::REFUSED_STREAM) => self.findings.refused += 1,
            // The client made us do it (CVE-2025-8671).
            Some(code) => {
                self.findings.malformed += u64::from(code == Frame::PROTOCOL_ERROR);
                if unanswered {
                    self.reset();
                }
            }
        }
    }

    /// HEADERS came: of a new stream, or trailers.
    fn opened(&mut self, stream: u32) {
        if stream > self.last_stream {
            self.last_stream = stream;
            self.window.current(&self.waiting).streams += 1;
            if self.waiting.len() < REMEMBERED {
                self.waiting.push(stream);
            }
        }
    }

    /// Whether the answer on this stream had not begun.
    fn forget(&mut self, stream: u32) -> bool {
        let place = self.waiting.iter().position(|one| *one == stream);
        place.map(|place| self.waiting.swap_remove(place)).is_some()
    }

    fn reset(&mut self) {
        let window = self.window.current(&self.waiting);
        window.resets += 1;
        let many = window.resets > RESETS && window.resets * 2 > window.streams;
        self.note(Excess::Resets, many);
    }

    fn note(&mut self, what: Excess, many: bool) {
        if many {
            self.findings.excess.get_or_insert(what);
        }
    }
}

/// A frame.
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    /// The beginning of the payload, of those frames that say something there.
    payload: &'a [u8],
}

impl Frame<'_> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    const CONTINUATION: u8 = 9;

    const END_HEADERS: u8 = 4;

    const NO_ERROR: u32 = 0;
    const PROTOCOL_ERROR: u32 = 1;
    const REFUSED_STREAM: u32 = 7;
    const ENHANCE_YOUR_CALM: u32 = 11;

    /// A number of four bytes in the payload.
    fn number_at(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }
}

/// Finds frames, however the bytes are cut.
struct Frames {
    /// The head of a frame, and the beginning of its payload where that is looked at.
    frame: [u8; Self::MOST],
    have: usize,
    /// Bytes of the payload still to come.
    skip: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self { frame: [0; Self::MOST], have: 0, skip: 0 }
    }
}

impl Frames {
    const HEAD: usize = 9;
    /// A GOAWAY with a few words.
    const MOST: usize = Self::HEAD + 8 + 32;

    fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame<'_>)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let wanted = self.wanted();
            let taken = (wanted - self.have).min(bytes.len());
            self.frame[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.wanted() {
                self.skip = Self::HEAD + self.length() - self.have;
                found(self.found());
                self.have = 0;
            }
        }
    }

    /// How many bytes of this frame are looked at, as far as is known.
    fn wanted(&self) -> usize {
        if self.have < Self::HEAD || !matches!(self.frame[3], Frame::RST_STREAM | Frame::GOAWAY) {
            return Self::HEAD;
        }
        (Self::HEAD + self.length()).min(Self::MOST)
    }

    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.frame.map(usize::from);
        high << 16 | middle << 8 | low
    }

    fn found(&self) -> Frame<'_> {
        let [_, _, _, kind, flags, s0, s1, s2, s3, ..] = self.frame;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]); // the first bit is reserved
        Frame { kind, flags, stream, payload: &self.frame[Self::HEAD..self.have] }
    }

    fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Whether the last bytes end within the head of a frame, or within a part of a header block.
    fn is_within_head(&self) -> bool {
        self.have > 0 || (self.skip > 0 && matches!(self.frame[3], Frame::HEADERS | Frame::CONTINUATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: u8 = Frame::HEADERS;
    const RST_STREAM: u8 = Frame::RST_STREAM;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn begun() -> Meter {
        let mut meter = Meter::new();
        meter.read(PREFACE);
        meter
    }

    fn opens(meter: &mut Meter, stream: u32) -> Option<Excess> {
        meter.read(&frame(HEADERS, Frame::END_HEADERS, stream, b"x")).excess
    }

    fn resets(meter: &mut Meter, stream: u32) -> Option<Excess> {
        meter.read(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).excess
    }

    /// Odd numbers, as a client has them.
    fn streams(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(|n| 2 * n + 1)
    }

    /// `docs/security.md`, the introduction: what h2 refuses is counted.
    #[test]
    fn our_resets_are_counted_by_their_code_however_the_bytes_are_cut() {
        let bytes = [
            frame(Frame::SETTINGS, 0, 0, &[3; 6]), // its payload looks like a type
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 1]),
            frame(Frame::DATA, 0, 1, &[]),
            frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]),
            frame(RST_STREAM, 0, 5, &[0, 0, 0, 1]),
            frame(RST_STREAM, 0, 7, &[0, 0, 0, 7]),
        ]
        .concat();
        for size in 1..=bytes.len() {
            let mut meter = begun();
            let found = bytes.chunks(size).map(|part| meter.wrote(part)).last().unwrap();
            assert_eq!((found.malformed, found.refused), (2, 1), "in parts of {size}");
        }
    }

    /// `docs/security.md` 17: rapid resets (CVE-2023-44487).
    #[test]
    fn streams_reset_before_their_answer_are_too_many_over_200() {
        let mut meter = begun();
        for stream in streams(200) {
            assert_eq!((opens(&mut meter, stream), resets(&mut meter, stream)), (None, None), "{stream}");
        }
        opens(&mut meter, 401);
        assert_eq!(resets(&mut meter, 401), Some(Excess::Resets));
    }

    #[test]
    fn resets_of_half_of_the_streams_or_behind_the_head_of_the_answer_are_none_too_many() {
        let mut meter = begun();
        for stream in streams(2000) {
            opens(&mut meter, stream);
            if stream % 4 == 3 {
                meter.wrote(&frame(HEADERS, Frame::END_HEADERS, stream, b"x"));
                assert_eq!(resets(&mut meter, stream), None, "{stream}");
                assert_eq!(resets(&mut meter, stream), None, "a stream that is known no more");
            }
        }
        for stream in streams(2000).filter(|stream| stream % 4 == 1) {
            assert_eq!(resets(&mut meter, stream), None, "{stream}");
        }
        assert_eq!(meter.waiting, [0; 0]);
    }

    /// `docs/security.md` 17: MadeYouReset (CVE-2025-8671).
    #[test]
    fn resets_that_we_are_made_to_send_count_and_refused_streams_do_not() {
        for (code, excess) in [(1, Some(Excess::Resets)), (3, Some(Excess::Resets)), (7, None), (0, None)] {
            let mut meter = begun();
            let mut found = None;
            for stream in streams(201) {
                opens(&mut meter, stream);
                found = meter.wrote(&frame(RST_STREAM, 0, stream, &[0, 0, 0, code])).excess;
            }
            assert_eq!(found, excess, "{code}");
        }
    }

    #[test]
    fn excess_is_counted_over_ten_seconds() {
        let mut meter = begun();
        for (n, stream) in streams(600).enumerate() {
            if n % 200 == 0 {
                meter.window.since = meter.window.since.map(|since| since - WINDOW);
            }
            opens(&mut meter, stream);
            assert_eq!(resets(&mut meter, stream), None, "{stream}");
        }
        assert_eq!(meter.window.resets, 200);
    }

    #[test]
    fn pings_and_settings_are_allowed_for_what_we_sent_and_some_more() {
        for (kind, more, payload) in [(Frame::PING, 100, &[0; 8][..]), (Frame::SETTINGS, 20, &[])] {
            let mut meter = begun();
            let send = |meter: &mut Meter| meter.read(&frame(kind, 0, 0, payload)).excess;
            for _ in 0..more {
                assert_eq!(send(&mut meter), None);
            }
            for data in [Frame::DATA, HEADERS] {
                meter.wrote(&frame(data, 0, 1, b"x"));
                assert_eq!(send(&mut meter), None);
            }
            assert!(send(&mut meter).is_some());
        }
    }

    #[test]
    fn a_head_that_stops_midway_is_known_since_it_began() {
        let whole = [
            frame(HEADERS, 0, 1, b"abc"),
            frame(Frame::CONTINUATION, 0, 1, b"def"),
            frame(Frame::CONTINUATION, Frame::END_HEADERS, 1, b"g"),
        ]
        .concat();
        let mut meter = begun();
        assert!(meter.read(&whole[..8]).head_since.is_some());
        let began = meter.read(&whole[8..9]).head_since;
        for byte in &whole[9..whole.len() - 1] {
            assert_eq!(meter.read(&[*byte]).head_since, began);
        }
        assert_eq!(meter.read(&whole[whole.len() - 1..]).head_since, None);
        // DATA that stops midway has its own clock; the next head begins when it comes.
        assert_eq!(meter.read(&frame(Frame::DATA, 0, 1, b"abc")[..11]).head_since, None);
        let rest = [b"c", &whole[..5]].concat();
        let later = meter.read(&rest).head_since;
        assert!(later > began, "{later:?}");
        // So does one whose beginning comes with the end of another.
        let rest = [&whole[5..], &whole[..30]].concat();
        assert!(meter.read(&rest).head_since > later);
    }

    #[test]
    fn a_goaway_stands_between_frames_only() {
        let mut meter = begun();
        opens(&mut meter, 0x0102);
        let expected = frame(Frame::GOAWAY, 0, 0, &[0, 0, 1, 2, 0, 0, 0, 11]);
        assert_eq!(meter.go_away().map(Vec::from), Some(expected));
        let ours = frame(Frame::DATA, 0, 1, b"abc");
        for cut in 1..ours.len() {
            let mut meter = begun();
            meter.wrote(&ours[..cut]);
            assert_eq!(meter.go_away(), None, "{cut}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut meter = begun();
        for stream in streams(5000) {
            opens(&mut meter, stream);
        }
        assert_eq!(meter.waiting.len(), REMEMBERED);
    }

    #[test]
    fn a_reset_of_a_wrong_length_is_passed_over_by_its_length() {
        let mut meter = begun();
        opens(&mut meter, 1);
        for length in [0, 3, 5, 30, 100] {
            let ping = frame(Frame::PING, 0, 0, &[0; 8]);
            meter.read(&[frame(RST_STREAM, 0, 1, &vec![0; length]), ping].concat());
        }
        assert_eq!((meter.window.resets, meter.window.pings), (1, 5));
    }

    #[test]
    fn what_h2_tells_the_client_is_heard() {
        let goaway = |code: u8, words: &str| {
            frame(Frame::GOAWAY, 0, 0, &[&[0, 0, 0, 1, 0, 0, 0, code], words.as_bytes()].concat())
        };
        for (code, words, told) in [
            (11, "too_many_data_frames", Some(Excess::Data)),
            (11, "header_list_way_too_large", Some(Excess::Fields)),
            (11, "", None),
            (11, "something that is new and longer than all that we know", None),
            (1, "too_many_data_frames", None),
        ] {
            let bytes = goaway(code, words);
            for size in 1..bytes.len() {
                let mut meter = begun();
                let found = bytes.chunks(size).map(|part| meter.wrote(part)).last().unwrap();
                assert_eq!((found.told, found.excess), (told, None), "{words} in parts of {size}");
                assert!(meter.go_away().is_some());
            }
        }
    }
}
