//! The output of a connection, in order: small pieces in one buffer, large pieces of data without
//! copying.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Data up to this size is copied into the buffer: the kernel writes one piece faster than three.
const COPIED: usize = 2 * 1024;

/// Above this size, no data is added until a part was written.
const ENOUGH: usize = 32 * 1024;

/// Capacity that an empty buffer keeps while its connection is idle.
const KEPT: usize = 4 * 1024;

/// Most pieces of one vectored write.
const PIECES: usize = 16;

/// Bytes that are to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Small pieces, written up to `at`.
    own: Vec<u8>,
    at: usize,
    /// Large pieces, each with its position in `own`.
    large: VecDeque<(usize, Bytes)>,
    /// Bytes of the large pieces.
    large_bytes: usize,
    /// Whether written bytes may still wait in a buffer of the socket (TLS).
    unflushed: bool,
}

impl Outbox {
    /// Whether more data may be added. Control frames are added in any case.
    pub(super) fn has_room(&self) -> bool {
        self.own.len() - self.at + self.large_bytes < ENOUGH
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.large.is_empty() && !self.unflushed
    }

    /// The buffer for small pieces.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Adds data.
    pub(super) fn add(&mut self, data: Bytes) {
        // `place` of a large piece is the end of `own` at this moment: all bytes before it are
        // written first.
        if data.len() <= COPIED {
            self.own.extend_from_slice(&data);
        } else {
            self.large_bytes += data.len();
            self.large.push_back((self.own.len(), data));
        }
    }

    /// Discards unwritten bytes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes everything.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.at < self.own.len() || !self.large.is_empty() {
            let written = match self.large.is_empty() {
                true => ready!(Pin::new(&mut *io).poll_write(cx, &self.own[self.at..]))?,
                false => ready!(self.poll_write_pieces(cx, io))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.wrote(written);
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        self.own.clear();
        self.at = 0;
        Poll::Ready(Ok(()))
    }

    /// Shrinks the buffer of an idle connection.
    pub(super) fn rest(&mut self) {
        if self.is_empty() && self.own.capacity() > KEPT {
            self.own = Vec::new();
        }
        if self.large.is_empty() && self.large.capacity() > PIECES {
            self.large = VecDeque::new();
        }
    }

    fn poll_write_pieces(
        &self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let (mut count, mut at) = (0, self.at);
        // Each large piece needs two slices at most: the small pieces before it, and itself.
        for (place, data) in self.large.iter().take(PIECES / 2) {
            if *place > at {
                pieces[count] = IoSlice::new(&self.own[at..*place]);
                count += 1;
            }
            pieces[count] = IoSlice::new(data);
            count += 1;
            at = *place;
        }
        // The small pieces after the last large one, if that one is in this write.
        if self.large.len() < PIECES / 2 && at < self.own.len() {
            pieces[count] = IoSlice::new(&self.own[at..]);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &pieces[..count])
    }

    fn wrote(&mut self, mut written: usize) {
        while written > 0 {
            // First the small pieces up to the next large one, then that one, as in
            // `poll_write_pieces`.
            let before = self
                .large
                .front()
                .map_or(self.own.len(), |(place, _)| *place);
            let of_own = written.min(before - self.at);
            self.at += of_own;
            written -= of_own;
            if written == 0 {
                break;
            }
            let Some((_, data)) = self.large.front_mut() else {
                break;
            };
            let of_data = written.min(data.len());
            data.advance(of_data);
            self.large_bytes -= of_data;
            written -= of_data;
            if data.is_empty() {
                self.large.pop_front();
            }
        }
        if self.at >= ENOUGH {
            self.forget_written();
        }
    }

    /// Frees written bytes of a connection that always has more to write.
    fn forget_written(&mut self) {
        self.own.drain(..self.at);
        self.large
            .iter_mut()
            .for_each(|(place, _)| *place -= self.at);
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts this many bytes at once, then none for a moment.
    struct Slow {
        taken: Vec<u8>,
        step: usize,
        rests: bool,
    }

    impl Slow {
        fn take(&mut self, pieces: &[&[u8]]) -> Poll<io::Result<usize>> {
            self.rests = !self.rests;
            if self.rests {
                return Poll::Pending;
            }
            let all = pieces.concat();
            let count = all.len().min(self.step);
            self.taken.extend_from_slice(&all[..count]);
            Poll::Ready(Ok(count))
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.take(&[bytes])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.take(&pieces.iter().map(|piece| &piece[..]).collect::<Vec<_>>())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Small and large pieces are written in order, whatever the socket accepts at once, also when
    /// more is added meanwhile.
    #[test]
    fn everything_is_written_in_order_however_little_the_socket_takes() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for step in [1, 7, 100, 3000, 1 << 20] {
            let mut random = fastrand::Rng::with_seed(step as u64);
            let mut out = Outbox::default();
            let mut slow = Slow {
                taken: Vec::new(),
                step,
                rests: false,
            };
            let mut expected = Vec::new();
            for n in 0..60_u8 {
                let length = if random.bool() {
                    random.usize(..200)
                } else {
                    random.usize(2000..9000)
                };
                let data = vec![n; length];
                expected.extend_from_slice(&data);
                match length {
                    0..100 => out.own().extend_from_slice(&data),
                    _ => out.add(data.into()),
                }
                for _ in 0..random.usize(..4) {
                    let _ = out.poll_write(&mut cx, &mut slow);
                }
            }
            assert!(!out.has_room() || step > 1);
            while out.poll_write(&mut cx, &mut slow).is_pending() {}
            assert!(out.is_empty() && out.large_bytes == 0);
            assert!(slow.taken == expected, "in steps of {step}");
        }
    }

    #[test]
    fn what_was_written_is_not_kept_while_more_comes() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut out = Outbox::default();
        let mut slow = Slow {
            taken: Vec::new(),
            step: 1000,
            rests: false,
        };
        out.own().extend_from_slice(&[0; 1000]);
        for _ in 0..1000 {
            out.own().extend_from_slice(&[0; 1000]);
            assert!(out.poll_write(&mut cx, &mut slow).is_pending());
            assert!(out.poll_write(&mut cx, &mut slow).is_pending() || out.is_empty());
            if out.is_empty() {
                out.own().extend_from_slice(&[0; 1000]);
            }
        }
        assert!(out.own.capacity() < 4 * ENOUGH, "{}", out.own.capacity());
    }
}
