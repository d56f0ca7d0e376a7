//! Sends a body on a stream, as fast as the peer accepts it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body;
use outrigger_filters::error::Error;

use super::{ErrorCode, StreamRef};

/// The sending side of one stream.
pub(crate) struct Sending {
    stream: StreamRef,
    /// The body was read to its end.
    ended: bool,
}

/// Why a body could not be sent to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The body failed.
    Body(Error),
    /// The stream ended; its receiving side has the reason.
    Stream,
}

impl Sending {
    /// A stream on which the head was sent, and nothing of the body.
    pub(crate) fn new(stream: StreamRef) -> Self {
        Self {
            stream,
            ended: false,
        }
    }

    /// Whether a piece waits for the peer's window.
    pub(crate) fn waits_for_room(&self) -> bool {
        let mut state = self.stream.connection.state();
        state.stream(self.stream.key).sending.has_piece
    }

    /// Bytes that were sent, to detect progress.
    pub(crate) fn moved(&self) -> u64 {
        self.stream
            .connection
            .state()
            .stream(self.stream.key)
            .sending
            .moved
    }

    pub(crate) fn stream(&self) -> &StreamRef {
        &self.stream
    }

    /// Sends the body as far as possible; ready when everything is in the output buffer.
    ///
    /// # Errors
    /// The body failed, or the stream ended.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut (impl Body<Data = Bytes, Error = Error> + Unpin),
    ) -> Poll<Result<(), Stopped>> {
        loop {
            ready!(self.poll_room(cx))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.send(data, body.is_end_stream())?,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.ended = true;
                        self.open()?.send_trailers(self.stream.key, trailers);
                    }
                },
                Some(Err(error)) => return Poll::Ready(Err(Stopped::Body(error))),
                None => self.send(Bytes::new(), true)?,
            }
        }
    }

    /// Ready when the last piece was sent.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), Stopped>> {
        let mut state = self.stream.connection.state();
        let stream = state.stream(self.stream.key);
        if !stream.sending.has_piece && (stream.error.is_none() || stream.sending.ended) {
            return Poll::Ready(Ok(()));
        }
        if stream.error.is_some() {
            return Poll::Ready(Err(Stopped::Stream));
        }
        stream.sending.wait(cx);
        Poll::Pending
    }

    fn send(&mut self, data: Bytes, last: bool) -> Result<(), Stopped> {
        if data.is_empty() && !last {
            return Ok(()); // an empty frame has no effect, and some peers limit their number
        }
        self.ended = last;
        self.open()?.send(self.stream.key, data, last);
        Ok(())
    }

    /// The connection, if the stream can still be sent on.
    fn open(&self) -> Result<std::cell::RefMut<'_, super::connection::State>, Stopped> {
        let mut state = self.stream.connection.state();
        match state.stream(self.stream.key).error.is_some() {
            true => Err(Stopped::Stream),
            false => Ok(state),
        }
    }

    /// Resets the stream: its body cannot be sent.
    pub(crate) fn reset(&self, reason: ErrorCode) {
        self.stream.reset(reason);
    }
}
