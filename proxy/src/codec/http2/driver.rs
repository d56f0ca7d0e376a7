//! The task's side of a connection: the only one that reads and writes the socket.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Error, ErrorCode,
    connection::{Accepted, Shared, Side},
    frame,
};

/// Bytes that are read at once.
const READ: usize = 16 * 1024;

/// Reads and writes one connection.
pub(crate) struct Driver<I> {
    io: I,
    shared: Rc<Shared>,
    /// Bytes that are read before others go first.
    turn: usize,
    /// What the socket failed with.
    failure: Option<io::Error>,
    ending: bool,
}

impl<I> Drop for Driver<I> {
    /// Without a task the streams would wait for ever.
    fn drop(&mut self) {
        self.shared.state().end(Error::closed());
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Drives `shared` over `io`; after `turn` bytes the task lets others go first.
    pub(crate) fn new(io: I, shared: Rc<Shared>, turn: usize) -> Self {
        Self {
            io,
            shared,
            turn,
            failure: None,
            ending: false,
        }
    }

    /// What the socket failed with, where it did.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Reads and writes what there is; ready when the connection has ended. `accept` gets each new request.
    ///
    /// # Errors
    /// Why the connection ended, unless it was in good order.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(Accepted),
    ) -> Poll<Result<(), Error>> {
        self.shared.state().task_looks(cx);
        let polled = self.poll_turn(cx);
        // Only now: requests that were reset at once are not begun.
        while let Some(request) = self.shared.take_request() {
            accept(request);
        }
        self.shared.state().is_woken = false;
        polled
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut left = self.turn;
        loop {
            let is_stuck = self.write(cx);
            if let Poll::Ready(result) = self.poll_end(cx, is_stuck) {
                return Poll::Ready(result);
            }
            if is_stuck && !self.shared.state().out.has_room() {
                return Poll::Pending; // a peer that takes nothing has nothing read
            }
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_read(cx, left) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(bytes) => left -= bytes,
            }
        }
    }

    /// Writes what there is and what streams had no room for; whether the socket takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut state = self.shared.state();
        loop {
            match state.out.poll_write(cx, &mut self.io) {
                Poll::Pending => return true,
                Poll::Ready(Err(error)) => {
                    state.fail_io(&error);
                    self.failure.get_or_insert(error);
                    return false;
                }
                Poll::Ready(Ok(())) => {}
            }
            state.pump();
            if state.out.is_empty() {
                if state.open.is_empty() {
                    state.out.rest();
                }
                return false;
            }
        }
    }

    /// Whether the connection has ended, and our last words were written or cannot be.
    fn poll_end(&mut self, cx: &mut Context<'_>, is_stuck: bool) -> Poll<Result<(), Error>> {
        let error = {
            let mut state = self.shared.state();
            match &state.error {
                Some(_) if !state.out.is_empty() && !is_stuck => return Poll::Pending,
                Some(error) => Some(error.clone()),
                None if !state.is_done() => return Poll::Pending,
                None => {
                    if state.settings.side == Side::Client
                        && !std::mem::replace(&mut self.ending, true)
                    {
                        frame::write_go_away(state.out.own(), 0, ErrorCode::NO_ERROR);
                        // A peer that takes nothing more need not hear it.
                        let _ = state.out.poll_write(cx, &mut self.io);
                    }
                    None
                }
            }
        };
        // What TLS has to say at the end, if that can be said at once.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        Poll::Ready(error.map_or(Ok(()), Err))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<usize> {
        let mut bytes = [MaybeUninit::uninit(); READ];
        let mut buf = ReadBuf::uninit(&mut bytes[..most.min(READ)]);
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut buf);
        match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => self.shared.state().receive_end(),
            Poll::Ready(Ok(())) => self.shared.state().receive(buf.filled()),
            Poll::Ready(Err(error)) => {
                self.shared.state().fail_io(&error);
                self.failure.get_or_insert(error);
            }
        }
        Poll::Ready(buf.filled().len())
    }
}
