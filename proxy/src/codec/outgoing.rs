//! The output buffer: bytes of heads and framing, then data of a body, and bytes after it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Data up to this size is copied into the buffer: the kernel writes one piece faster than three.
const COPIED: usize = 2 * 1024;

/// Above this size, nothing is added until a part was written.
const ENOUGH: usize = 16 * 1024;

/// Bytes that are to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Heads and framing; written up to `at`.
    own: Vec<u8>,
    at: usize,
    data: Bytes,
    behind: &'static [u8],
    /// Whether written bytes may still wait in a buffer of the socket (TLS).
    unflushed: bool,
    /// Whether anything was written at all.
    begun: bool,
}

impl Outgoing {
    /// Whether more may be added now.
    pub(crate) fn has_room(&self) -> bool {
        self.data.is_empty() && self.behind.is_empty() && self.own.len() < ENOUGH
    }

    /// The buffer for heads and framing, while it [has room](Self::has_room).
    pub(crate) fn own(&mut self) -> &mut Vec<u8> {
        debug_assert!(
            self.has_room(),
            "they would stand before what was added earlier"
        );
        &mut self.own
    }

    /// Adds data of a body, and the bytes after it.
    pub(crate) fn push(&mut self, data: Bytes, behind: &'static [u8]) {
        if data.len() <= COPIED {
            let own = self.own();
            own.reserve(data.len() + behind.len());
            own.extend_from_slice(&data);
            own.extend_from_slice(behind);
        } else {
            (self.data, self.behind) = (data, behind);
        }
    }

    /// Discards unwritten bytes.
    pub(crate) fn clear(&mut self) {
        self.own.clear();
        (self.at, self.data, self.behind) = (0, Bytes::new(), &[]);
        (self.unflushed, self.begun) = (false, false);
    }

    /// Whether anything was written since it was last cleared.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether everything was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.data.is_empty() && self.behind.is_empty() && !self.unflushed
    }

    /// Shrinks the buffer after a large head.
    pub(crate) fn shrink_to(&mut self, most: usize) {
        self.own.shrink_to(most);
    }

    /// Writes everything.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        loop {
            let own = &self.own[self.at..];
            let to = Pin::new(&mut *to);
            let written = match (own.is_empty(), self.data.is_empty()) {
                (true, true) if self.behind.is_empty() => break,
                (true, true) => ready!(to.poll_write(cx, self.behind))?,
                (false, true) => ready!(to.poll_write(cx, own))?,
                _ => {
                    let all = [
                        IoSlice::new(own),
                        IoSlice::new(&self.data),
                        IoSlice::new(self.behind),
                    ];
                    let first = usize::from(own.is_empty());
                    let last = if self.behind.is_empty() { 2 } else { 3 };
                    ready!(to.poll_write_vectored(cx, &all[first..last]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.unflushed, self.begun) = (true, true);
            self.wrote(written);
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        self.own.clear();
        self.at = 0;
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, mut written: usize) {
        let of_own = written.min(self.own.len() - self.at);
        self.at += of_own;
        written -= of_own;
        let of_data = written.min(self.data.len());
        self.data.advance(of_data);
        if self.data.is_empty() {
            self.data = Bytes::new(); // an empty rest would keep the whole buffer allocated
        }
        self.behind = &self.behind[(written - of_data).min(self.behind.len())..];
    }
}
