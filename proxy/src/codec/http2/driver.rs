//! The task's side of a connection: it alone reads and writes the socket.

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

/// Size of a read.
const READ: usize = 16 * 1024;

pub(crate) struct Driver<I> {
    io: I,
    shared: Rc<Shared>,
    /// Bytes that are read before the task yields.
    turn: usize,
    /// The error of the socket.
    failure: Option<io::Error>,
    ending: bool,
}

impl<I> Drop for Driver<I> {
    /// Ends the streams, which would otherwise wait for ever.
    fn drop(&mut self) {
        self.shared.state().end(Error::closed());
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Drives `shared` over `io`; after `turn` bytes the task yields.
    pub(crate) fn new(io: I, shared: Rc<Shared>, turn: usize) -> Self {
        Self {
            io,
            shared,
            turn,
            failure: None,
            ending: false,
        }
    }

    /// The error of the socket, if it failed.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Reads and writes as far as possible; ready when the connection has ended. `accept` gets each
    /// new request.
    ///
    /// # Errors
    /// Why the connection ended, unless it was closed in order.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(Accepted),
    ) -> Poll<Result<(), Error>> {
        self.shared.state().task_started(cx);
        let polled = self.poll_turn(cx);
        // After reading, so that requests that were reset at once are not started.
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
                // Back-pressure: nothing is read from a peer that does not read.
                return Poll::Pending;
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

    /// Writes pending bytes and queued data of streams; returns whether the socket accepts no more.
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

    /// Ready when the connection has ended, and the last bytes were written or cannot be.
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
                        // A peer that has stopped reading need not get the last bytes.
                        let _ = state.out.poll_write(cx, &mut self.io);
                    }
                    None
                }
            }
        };
        // Sends close_notify under TLS, if possible without waiting.
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
