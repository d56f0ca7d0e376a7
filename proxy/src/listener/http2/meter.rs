//! What the frames of an HTTP/2 connection tell that h2 does not (RFC 9113 section 4.1).
//!
//! Both directions are followed by their frame heads alone. From them are known: streams that were reset as malformed or
//! refused, a header block that stops midway, and a client that makes work for nothing (`docs/security.md` 17): it
//! resets streams before their answer begins, or has us reset them, or floods us with PING, SETTINGS or empty DATA.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

use crate::codec::http2::{
    SMALL,
    frames::{EmptyData, Frame, Frames, See, Sieve},
    incoming::Streams,
    trailers::TrailerBlock,
};

/// What a client's side begins with.
pub(in crate::listener) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
    /// DATA that is empty.
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
pub(in crate::listener) struct Meter {
    read: Sieve,
    written: Frames,
    seen: Seen,
}

/// What both directions have told.
#[derive(Default)]
struct Seen {
    /// The request bodies that arrive.
    bodies: Rc<Streams>,
    empty: EmptyData,
    trailers: TrailerBlock,
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
    pub(in crate::listener) fn new(bodies: Rc<Streams>) -> Self {
        let mut read = Sieve::default();
        read.skip(PREFACE.len());
        Self { read, written: Frames::default(), seen: Seen { bodies, ..Seen::default() } }
    }

    /// Reads what the client sends. Nothing is read while small pieces of bodies are to be brought together first.
    pub(in crate::listener) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut (impl AsyncRead + Unpin),
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.bodies.is_due() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Self { read, seen, .. } = self;
        let polled = read.poll_read(cx, inner, buf, seen);
        seen.note_head(read.is_within_head());
        polled
    }

    /// What was found so far.
    pub(in crate::listener) fn findings(&self) -> Findings {
        self.seen.findings
    }

    /// We have sent these bytes.
    pub(in crate::listener) fn wrote(&mut self, bytes: &[u8]) -> Findings {
        let Self { written, seen, .. } = self;
        written.follow(bytes, &mut |frame: &Frame<'_>| seen.we_sent(frame));
        self.seen.findings
    }

    /// A GOAWAY with ENHANCE_YOUR_CALM; `None` while a frame of ours is half written.
    pub(in crate::listener) fn go_away(&self) -> Option<[u8; 17]> {
        let [a, b, c, d] = self.seen.last_stream.to_be_bytes();
        let frame = [0, 0, 8, Frame::GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 11];
        self.written.is_between_frames().then_some(frame)
    }
}

impl See for Seen {
    fn frame(&mut self, frame: &Frame<'_>) -> bool {
        self.client_sent(frame)
    }

    fn payload(&mut self, bytes: &[u8], last: bool) {
        if let Some((stream, fields)) = self.trailers.take(bytes, last) {
            self.bodies.saw_trailers(stream, fields);
        }
    }
}

impl Seen {
    /// Since when a head is incomplete.
    fn note_head(&mut self, is_within_head: bool) {
        if !self.in_block && !is_within_head {
            self.findings.head_since = None;
        } else if self.findings.head_since.is_none() {
            self.findings.head_since = Some(Instant::now());
        }
    }

    /// Whether the payload is to be shown: that of trailers.
    fn client_sent(&mut self, frame: &Frame<'_>) -> bool {
        if !self.in_block {
            self.findings.head_since = None; // what stops midway, if anything does, begins here
        }
        self.empty.see(frame);
        match frame.kind {
            Frame::DATA => {
                if frame.length > 0 && frame.length < SMALL {
                    self.bodies.saw_small_frame();
                }
                self.note(Excess::Data, self.empty.is_flood());
            }
            Frame::HEADERS => {
                self.in_block = frame.flags & Frame::END_HEADERS == 0;
                if !self.opened(frame.stream) {
                    self.trailers.begin(frame);
                    return true;
                }
            }
            Frame::CONTINUATION => {
                self.in_block = frame.flags & Frame::END_HEADERS == 0;
                return self.trailers.goes_on(frame);
            }
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
        false
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

    /// HEADERS came: whether of a new stream; else they are trailers.
    fn opened(&mut self, stream: u32) -> bool {
        if stream <= self.last_stream {
            return false;
        }
        self.last_stream = stream;
        self.window.current(&self.waiting).streams += 1;
        if self.waiting.len() < REMEMBERED {
            self.waiting.push(stream);
        }
        true
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

    impl Meter {
        /// What the client sends, in one piece.
        fn read(&mut self, mut bytes: &[u8]) -> Findings {
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            while !bytes.is_empty() {
                let mut place = [0; 64];
                let polled = self.poll_read(cx, &mut bytes, &mut ReadBuf::new(&mut place));
                // Pending is what may be the beginning of empty DATA.
                assert!(!matches!(polled, Poll::Ready(Err(_))), "a slice never fails");
            }
            self.seen.findings
        }
    }

    fn begun() -> Meter {
        let mut meter = Meter::new(Rc::default());
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
        assert_eq!(meter.seen.waiting, [0; 0]);
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
                meter.seen.window.since = meter.seen.window.since.map(|since| since - WINDOW);
            }
            opens(&mut meter, stream);
            assert_eq!(resets(&mut meter, stream), None, "{stream}");
        }
        assert_eq!(meter.seen.window.resets, 200);
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
        assert_eq!(meter.seen.waiting.len(), REMEMBERED);
    }

    #[test]
    fn a_reset_of_a_wrong_length_is_passed_over_by_its_length() {
        let mut meter = begun();
        opens(&mut meter, 1);
        for length in [0, 3, 5, 30, 100] {
            let ping = frame(Frame::PING, 0, 0, &[0; 8]);
            meter.read(&[frame(RST_STREAM, 0, 1, &vec![0; length]), ping].concat());
        }
        assert_eq!((meter.seen.window.resets, meter.seen.window.pings), (1, 5));
    }

    #[test]
    fn what_h2_tells_the_client_is_heard() {
        let goaway = |code: u8, words: &str| {
            frame(Frame::GOAWAY, 0, 0, &[&[0, 0, 0, 1, 0, 0, 0, code], words.as_bytes()].concat())
        };
        for (code, words, told) in [
            (11, "too_many_continuations", Some(Excess::Continuation)),
            (11, "header_list_way_too_large", Some(Excess::Fields)),
            (11, "", None),
            (11, "something that is new and longer than all that we know", None),
            (1, "too_many_continuations", None),
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
