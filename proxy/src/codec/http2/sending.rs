//! A body on its way into a stream, as fast as the peer's window allows.
//!
//! A piece is taken from the body before room is asked for, and then one byte of room: asking ahead would keep the
//! window of the connection from streams that have something to send.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use h2::SendStream;
use http_body::Body;
use outrigger_filters::error::Error;

/// What is left to be sent on one stream.
pub(crate) struct Sending<B: Buf> {
    stream: SendStream<B>,
    /// A piece that waits for room, and whether it is the last.
    waiting: Option<(B, bool)>,
    ended: bool,
}

/// Why a body did not come to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The body failed.
    Body(Error),
    /// The peer takes no more of it; why is known where its own message is read.
    Stream,
}

impl<B: Buf + Default> Sending<B> {
    /// Nothing of a body was sent on this stream.
    pub(crate) fn new(stream: SendStream<B>) -> Self {
        Self { stream, waiting: None, ended: false }
    }

    /// Whether a piece waits for the peer to make room for it.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.waiting.is_some()
    }

    /// The stream.
    pub(crate) fn stream(&mut self) -> &mut SendStream<B> {
        &mut self.stream
    }

    /// Sends what there is; ready when that was all.
    ///
    /// # Errors
    /// What it was stopped by.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut (impl Body<Data = B, Error = Error> + Unpin),
    ) -> Poll<Result<(), Stopped>> {
        while !self.ended {
            if self.waiting.is_some() {
                ready!(self.poll_room(cx))?;
                if let Some((data, last)) = self.waiting.take() {
                    self.send(data, last)?;
                }
                continue;
            }
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.take(data, body.is_end_stream())?,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.stream.send_trailers(trailers).map_err(|_| Stopped::Stream)?;
                        self.ended = true;
                    }
                },
                Some(Err(error)) => return Poll::Ready(Err(Stopped::Body(error))),
                None => self.send(B::default(), true)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, data: B, last: bool) -> Result<(), Stopped> {
        match data.has_remaining() {
            false if last => self.send(data, true),
            false => Ok(()), // it says nothing, and some peers allow only a few of them
            true => {
                self.stream.reserve_capacity(1);
                self.waiting = Some((data, last));
                Ok(())
            }
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        while self.stream.capacity() == 0 {
            if !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
                return Poll::Ready(Err(Stopped::Stream));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, data: B, last: bool) -> Result<(), Stopped> {
        self.stream.send_data(data, last).map_err(|_| Stopped::Stream)?;
        self.ended = last;
        Ok(())
    }
}
