//! Follows one direction of a connection by the heads of its frames (RFC 9113 section 4.1), and removes what `h2`
//! would end the whole connection for although it does no harm.
//!
//! `h2` 0.4 allows 100 DATA frames without payload in the life of a connection. Some servers end each response with one
//! before its trailers, so such a frame is removed before `h2` sees it: it carries nothing and no flow control. It is
//! still counted.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

/// A frame, seen when its head is complete.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    /// Bytes of the payload.
    pub(crate) length: usize,
    /// The beginning of the payload, of those frames that say something there.
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const CONTINUATION: u8 = 9;

    /// Of DATA and HEADERS.
    pub(crate) const END_STREAM: u8 = 1;
    /// Of SETTINGS and PING.
    pub(crate) const ACK: u8 = 1;
    /// Of HEADERS and CONTINUATION.
    pub(crate) const END_HEADERS: u8 = 4;
    /// Of DATA and HEADERS.
    pub(crate) const PADDED: u8 = 8;
    /// Of HEADERS.
    pub(crate) const PRIORITY: u8 = 0x20;

    pub(crate) const NO_ERROR: u32 = 0;
    pub(crate) const PROTOCOL_ERROR: u32 = 1;
    pub(crate) const REFUSED_STREAM: u32 = 7;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

    /// A number of four bytes in the payload.
    pub(crate) fn number_at(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    /// Whether it is DATA that says nothing.
    pub(crate) fn is_empty_data(&self) -> bool {
        self.kind == Self::DATA && self.length == 0 && self.flags & (Self::END_STREAM | Self::PADDED) == 0
    }
}

/// Follows the frames of one direction.
pub(crate) trait See {
    /// The head of a frame is complete; whether its payload is to be shown as well.
    fn frame(&mut self, frame: &Frame<'_>) -> bool;

    /// A part of a payload that is to be shown, and whether it is the last.
    fn payload(&mut self, _: &[u8], _last: bool) {}
}

impl<F: FnMut(&Frame<'_>)> See for F {
    fn frame(&mut self, frame: &Frame<'_>) -> bool {
        self(frame);
        false
    }
}

/// Finds frames, however the bytes are cut.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The head of a frame, and the beginning of its payload where that is looked at.
    frame: [u8; Self::MOST],
    have: usize,
    /// Bytes of the payload still to come.
    skip: usize,
    /// Whether they are shown.
    shown: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self { frame: [0; Self::MOST], have: 0, skip: 0, shown: false }
    }
}

impl Frames {
    pub(crate) const HEAD: usize = 9;
    /// A GOAWAY with a few words.
    const MOST: usize = Self::HEAD + 8 + 32;

    /// Passes over bytes that are no frames, such as the preface.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.skip += bytes;
    }

    /// Follows all of these bytes.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], see: &mut impl See) {
        while !bytes.is_empty() {
            let used = self.step(bytes, see);
            bytes = &bytes[used..];
        }
    }

    /// Follows bytes up to the end of a frame, or all of them; gives how many.
    fn step(&mut self, bytes: &[u8], see: &mut impl See) -> usize {
        if self.skip > 0 {
            return self.pass(bytes, see);
        }
        let mut used = 0;
        while used < bytes.len() {
            let wanted = self.wanted();
            let taken = (wanted - self.have).min(bytes.len() - used);
            self.frame[self.have..self.have + taken].copy_from_slice(&bytes[used..used + taken]);
            self.have += taken;
            used += taken;
            if self.have == self.wanted() {
                self.skip = Self::HEAD + self.length() - self.have;
                self.shown = see.frame(&self.found());
                self.have = 0;
                return used + self.pass(&bytes[used..], see);
            }
        }
        used
    }

    /// Passes over the rest of a payload.
    fn pass(&mut self, bytes: &[u8], see: &mut impl See) -> usize {
        let passed = self.skip.min(bytes.len());
        self.skip -= passed;
        if self.shown && passed > 0 {
            see.payload(&bytes[..passed], self.skip == 0);
        }
        passed
    }

    /// How many bytes of this frame are looked at, as far as is known.
    fn wanted(&self) -> usize {
        if self.have < Self::HEAD || !matches!(self.frame[3], Frame::RST_STREAM | Frame::GOAWAY) {
            return Self::HEAD;
        }
        (Self::HEAD + self.length()).min(Self::MOST)
    }

    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.frame;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    fn found(&self) -> Frame<'_> {
        let [_, _, _, kind, flags, s0, s1, s2, s3, ..] = self.frame;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]); // the first bit is reserved
        Frame { kind, flags, stream, length: self.length(), payload: &self.frame[Self::HEAD..self.have] }
    }

    /// Whether the last bytes end with a frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Whether the last bytes end within the head of a frame, or within a part of a header block.
    pub(crate) fn is_within_head(&self) -> bool {
        self.have > 0 || (self.skip > 0 && matches!(self.frame[3], Frame::HEADERS | Frame::CONTINUATION))
    }
}

/// Over how long DATA without payload is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// DATA without payload within [`WINDOW`] beyond one for each frame of HEADERS or of DATA that carries something: a sender
/// that makes no progress with more than this does nothing but work for us.
const EMPTY: u64 = 200;

/// Counts DATA without payload against what carries something.
#[derive(Debug, Default)]
pub(crate) struct EmptyData {
    since: Option<Instant>,
    empty: u64,
    full: u64,
}

impl EmptyData {
    /// Sees every frame of one direction.
    pub(crate) fn see(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            Frame::DATA if frame.is_empty_data() => {
                let now = Instant::now();
                if self.since.is_none_or(|since| now >= since + WINDOW) {
                    *self = Self { since: Some(now), empty: 0, full: 0 };
                }
                self.empty += 1;
            }
            Frame::DATA | Frame::HEADERS => self.full += 1,
            _ => {}
        }
    }

    /// Whether there was too much of it.
    pub(crate) fn is_flood(&self) -> bool {
        self.empty > EMPTY + self.full
    }
}

/// The direction that `h2` reads: follows its frames and removes empty DATA.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    frames: Frames,
    /// The beginning of a head that may turn out to be one of empty DATA.
    held: [u8; Frames::HEAD],
    have: usize,
    /// `held` is another frame after all, and is handed on first.
    is_due: bool,
}

impl Sieve {
    /// Passes over bytes that are no frames, such as the preface.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.frames.skip(bytes);
    }

    /// Whether the last bytes end within the head of a frame, or within a part of a header block.
    pub(crate) fn is_within_head(&self) -> bool {
        self.have > 0 || self.frames.is_within_head()
    }

    /// Reads from `inner` what is left when empty DATA is removed; nothing only at the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut (impl AsyncRead + Unpin),
        buf: &mut ReadBuf<'_>,
        see: &mut impl See,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.is_due {
                self.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            if self.have > 0 {
                if ready!(self.poll_held(cx, inner, see))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *inner).poll_read(cx, buf))?;
            let read = &mut buf.filled_mut()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let left = self.sift(read, see);
            buf.set_filled(before + left);
            if left > 0 {
                return Poll::Ready(Ok(()));
            }
            // Nothing is left: what was removed is counted before more is read.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
    }

    /// Removes empty DATA from bytes that were just read; how many are left in front.
    fn sift(&mut self, bytes: &mut [u8], see: &mut impl See) -> usize {
        let (mut read, mut left) = (0, 0);
        while read < bytes.len() {
            if self.frames.is_between_frames() && may_be_empty_data(&bytes[read..]) {
                let rest = &bytes[read..];
                if rest.len() < Frames::HEAD {
                    self.held[..rest.len()].copy_from_slice(rest);
                    self.have = rest.len();
                    break;
                }
                self.frames.follow(&rest[..Frames::HEAD], see);
                read += Frames::HEAD;
                continue;
            }
            let used = self.frames.step(&bytes[read..], see);
            if left != read {
                bytes.copy_within(read..read + used, left);
            }
            read += used;
            left += used;
        }
        left
    }

    /// Reads the rest of a head of which only the beginning is known; how many bytes came.
    fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        inner: &mut (impl AsyncRead + Unpin),
        see: &mut impl See,
    ) -> Poll<io::Result<usize>> {
        let mut rest = ReadBuf::new(&mut self.held[self.have..]);
        ready!(Pin::new(inner).poll_read(cx, &mut rest))?;
        let read = rest.filled().len();
        self.have += read;
        let head = &self.held[..self.have];
        if !may_be_empty_data(head) {
            self.frames.follow(head, see);
            self.is_due = true;
        } else if head.len() == Frames::HEAD {
            self.frames.follow(head, see);
            self.have = 0;
        }
        Poll::Ready(Ok(read))
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.have.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.copy_within(count..self.have, 0);
        self.have -= count;
        self.is_due = self.have > 0;
    }
}

/// Whether these bytes are, as far as they are there, the head of DATA without payload that ends nothing.
fn may_be_empty_data(bytes: &[u8]) -> bool {
    let known = &bytes[..bytes.len().min(Frames::HEAD)];
    let flags = known.get(4).copied().unwrap_or(0);
    known.iter().take(4).all(|byte| *byte == 0) && flags & (Frame::END_STREAM | Frame::PADDED) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Reads pieces of this size, then says that there is no more for now.
    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.1.min(self.0.len()).min(buf.remaining());
            if count == 0 {
                return Poll::Pending;
            }
            buf.put_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Poll::Ready(Ok(()))
        }
    }

    /// What is handed on in reads of `room` bytes, and how many frames were seen.
    fn sifted(bytes: &[u8], piece: usize, room: usize) -> (Vec<u8>, usize) {
        let (mut sieve, mut inner) = (Sieve::default(), Pieces(bytes, piece));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut out, mut seen) = (Vec::new(), 0);
        let mut idle = 0;
        loop {
            let mut place = vec![0; room];
            let mut buf = ReadBuf::new(&mut place);
            let polled = sieve.poll_read(&mut cx, &mut inner, &mut buf, &mut |_: &Frame<'_>| seen += 1);
            if polled.is_pending() {
                idle += 1;
                if inner.0.is_empty() && idle > 1 {
                    return (out, seen);
                }
                continue;
            }
            assert!(!buf.filled().is_empty(), "it would be the end of the connection");
            out.extend_from_slice(buf.filled());
        }
    }

    #[test]
    fn empty_data_is_removed_and_counted_however_the_bytes_are_cut() {
        let empty = frame(Frame::DATA, 0, 5, b"");
        let kept = [
            frame(Frame::SETTINGS, 0, 0, &[0; 6]),
            frame(Frame::DATA, 0, 1, &[0; 30]), // looks like empty DATA within
            frame(Frame::DATA, Frame::END_STREAM, 1, b""),
            frame(Frame::DATA, Frame::PADDED, 3, &[0]),
            frame(Frame::HEADERS, Frame::END_HEADERS, 5, b"abc"),
            frame(Frame::DATA, 0, 5, b"x"),
        ];
        let mut all = empty.clone();
        kept.iter().for_each(|one| all.extend([&one[..], &empty, &empty].concat()));
        for piece in 1..=all.len() {
            for room in [1, 2, 8, 9, 10, 100] {
                let (out, seen) = sifted(&all, piece, room);
                assert_eq!(
                    (out, seen),
                    (kept.concat(), 3 * kept.len() + 1),
                    "in pieces of {piece} into {room}"
                );
            }
        }
    }

    #[test]
    fn the_end_of_the_connection_is_handed_on_within_a_head_as_well() {
        let bytes = [0, 0, 0, 0];
        let mut sieve = Sieve::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut inner = &bytes[..];
        let mut place = [0; 16];
        let mut buf = ReadBuf::new(&mut place);
        assert!(sieve.poll_read(&mut cx, &mut inner, &mut buf, &mut |_: &Frame<'_>| {}).is_pending());
        assert!(sieve.poll_read(&mut cx, &mut inner, &mut buf, &mut |_: &Frame<'_>| {}).is_ready());
        assert!(buf.filled().is_empty());
    }
}
