//! Bytes on their way out: those of our own, then data of a body, and what stands behind it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Data that is no longer than this is copied between our own bytes: the kernel takes one piece a good deal more quickly
/// than three.
const COPIED: usize = 2 * 1024;

/// Above this nothing more is added before something was written.
const ENOUGH: usize = 16 * 1024;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Our own, from `at` on.
    own: Vec<u8>,
    at: usize,
    data: Bytes,
    behind: &'static [u8],
    /// Whether something was written that may still wait in a buffer of the socket's.
    unflushed: bool,
    /// Whether anything was written at all.
    begun: bool,
}

impl Outgoing {
    /// Whether more may be added now.
    pub(crate) fn has_room(&self) -> bool {
        self.data.is_empty() && self.behind.is_empty() && self.own.len() < ENOUGH
    }

    /// Where our own bytes go, while it [has room](Self::has_room).
    pub(crate) fn own(&mut self) -> &mut Vec<u8> {
        debug_assert!(
            self.has_room(),
            "they would stand before what was added earlier"
        );
        &mut self.own
    }

    /// Adds data of a body and what stands behind it.
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

    /// Throws away what was not written.
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

    /// Takes room back that a large head has left.
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
            self.data = Bytes::new(); // an empty rest would hold on to the whole buffer
        }
        self.behind = &self.behind[(written - of_data).min(self.behind.len())..];
    }
}
