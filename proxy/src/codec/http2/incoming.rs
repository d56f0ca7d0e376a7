//! The body of a stream as it arrives. The peer may send more only after it was read.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{Error, StreamRef};

/// The part of a body that has arrived together with its head.
pub(crate) enum Arrived {
    /// There is no body.
    Nothing,
    /// The whole body.
    Whole(Bytes, Option<HeaderMap>),
    /// A part of it.
    Some(Incoming),
}

/// A body that is still arriving.
pub(crate) struct Incoming(StreamRef);

/// The body of a stream whose head has just arrived. A gRPC message is nearly always one piece that
/// arrives with its head.
pub(crate) fn begin(stream: StreamRef) -> Arrived {
    let mut state = stream.connection.state();
    let receiving = &mut state.stream(stream.key).receiving;
    if !receiving.ended || !receiving.data.is_one() {
        drop(state);
        return Arrived::Some(Incoming(stream));
    }
    let (data, trailers) = (receiving.data.pop(), receiving.trailers.take());
    if data.is_empty() && trailers.is_none() {
        return Arrived::Nothing;
    }
    state.release(stream.key, data.len());
    Arrived::Whole(data, trailers)
}

impl Incoming {
    /// The next piece of the body, or its trailers.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let key = self.0.key;
        let mut state = self.0.connection.state();
        let stream = state.stream(key);
        let receiving = &mut stream.receiving;
        let data = receiving.data.pop();
        if !data.is_empty() {
            if let Some(unread) = &mut receiving.unread {
                *unread = unread.saturating_sub(data.len() as u64);
            }
            state.release(key, data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if receiving.ended {
            return Poll::Ready(
                receiving
                    .trailers
                    .take()
                    .map(|trailers| Ok(Frame::trailers(trailers))),
            );
        }
        if let Some(error) = &stream.error {
            return Poll::Ready(Some(Err(error.clone())));
        }
        receiving.wait(cx);
        Poll::Pending
    }

    /// Whether the whole body was read.
    pub(crate) fn is_end_stream(&self) -> bool {
        let mut state = self.0.connection.state();
        let receiving = &state.stream(self.0.key).receiving;
        receiving.ended && receiving.data.is_empty() && receiving.trailers.is_none()
    }

    /// Bytes still to be read, if declared.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let mut state = self.0.connection.state();
        let unread = state.stream(self.0.key).receiving.unread;
        unread.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    /// Drops data without a reader, so that it does not occupy the connection's window.
    fn drop(&mut self) {
        let mut state = self.0.connection.state();
        let receiving = &mut state.stream(self.0.key).receiving;
        receiving.is_wanted = false;
        let unread = std::mem::take(&mut receiving.data).len();
        state.release_connection(unread);
    }
}
