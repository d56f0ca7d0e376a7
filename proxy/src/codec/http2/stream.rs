//! One stream: its state in the connection, and a handle for its readers and writers.

use std::{
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, response};

use super::{Error, ErrorCode, connection::Shared};

/// Received pieces shorter than this are joined with others that wait.
const SMALL: usize = 2 * 1024;

/// Small pieces are joined up to this size.
const TOGETHER: usize = 16 * 1024;

/// A stream, from its first frame until it is closed and all handles are dropped.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Number of [`StreamRef`]s.
    pub(super) handles: usize,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// It was reset, or the connection has ended.
    pub(super) error: Option<Error>,
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct Receiving {
    /// The head of a response; the head of a request is passed on when it arrives.
    pub(super) response: Option<response::Parts>,
    /// The last interim response (1xx) that was not read yet.
    pub(super) interim: Option<StatusCode>,
    /// Number of interim responses.
    pub(super) interims: u8,
    /// Whether the head has arrived: a further header block is trailers.
    pub(super) begun: bool,
    /// Data that was not read yet.
    pub(super) data: Pieces,
    pub(super) trailers: Option<HeaderMap>,
    /// Whether END_STREAM has arrived.
    pub(super) ended: bool,
    /// Bytes still to arrive, if declared.
    pub(super) left: Option<u64>,
    /// Bytes still to be read, if declared.
    pub(super) unread: Option<u64>,
    /// Whether a response has no body, whatever its Content-Length: the request was HEAD.
    pub(super) only_head: bool,
    /// Bytes that the peer may still send.
    pub(super) window: i64,
    /// Bytes that were read and not yet returned to the peer by WINDOW_UPDATE.
    pub(super) released: u32,
    /// Whether there is a reader. Without one, received data is not stored.
    pub(super) is_wanted: bool,
    pub(super) reader: Option<Waker>,
}

/// The sending side.
#[derive(Debug)]
pub(super) struct Sending {
    /// Bytes that the peer accepts.
    pub(super) window: i64,
    /// Data that the windows do not allow yet.
    pub(super) piece: Bytes,
    /// Whether there is such a piece, which may be empty.
    pub(super) has_piece: bool,
    /// Whether the piece is the last.
    pub(super) last: bool,
    /// Trailers, sent after the piece.
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// Whether the stream is in the queue of the connection.
    pub(super) queued: bool,
    /// Whether the head was sent.
    pub(super) begun: bool,
    /// Whether END_STREAM was sent.
    pub(super) ended: bool,
    /// Bytes of data that were sent, to detect progress.
    pub(super) moved: u64,
    pub(super) writer: Option<Waker>,
}

impl Stream {
    pub(super) fn new(id: u32, receive_window: u32, send_window: i64) -> Self {
        Self {
            id,
            handles: 1,
            receiving: Receiving {
                response: None,
                interim: None,
                interims: 0,
                begun: false,
                data: Pieces::default(),
                trailers: None,
                ended: false,
                left: None,
                unread: None,
                only_head: false,
                window: i64::from(receive_window),
                released: 0,
                is_wanted: true,
                reader: None,
            },
            sending: Sending {
                window: send_window,
                piece: Bytes::new(),
                has_piece: false,
                last: false,
                trailers: None,
                queued: false,
                begun: false,
                ended: false,
                moved: 0,
                writer: None,
            },
            error: None,
        }
    }

    /// Whether both sides are complete.
    pub(super) fn is_closed(&self) -> bool {
        self.error.is_some() || (self.receiving.ended && self.sending.ended)
    }

    /// Ends the stream with an error. Received data can still be read; the reader gets the error
    /// after it.
    pub(super) fn fail(&mut self, error: Error) {
        if self.error.is_none() {
            self.sending.drop_piece();
            self.error = Some(error);
        }
        self.receiving.wake();
        self.sending.wake();
    }
}

impl Receiving {
    pub(super) fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        keep(&mut self.reader, cx);
    }

    /// Stores received data; `false` when it exceeds the declared length.
    pub(super) fn take(&mut self, data: &[u8]) -> bool {
        if let Some(left) = &mut self.left {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => return false,
            }
        }
        if self.is_wanted {
            self.data.push(data);
            self.wake();
        }
        true
    }

    /// Notes END_STREAM; `false` when the body is shorter than declared.
    pub(super) fn end(&mut self) -> bool {
        self.ended = true;
        self.wake();
        self.left.is_none_or(|left| left == 0)
    }
}

impl Sending {
    pub(super) fn wake(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        keep(&mut self.writer, cx);
    }

    /// Whether the message was sent to its end, or is stored completely.
    pub(super) fn is_whole(&self) -> bool {
        self.ended || (self.has_piece && (self.last || self.trailers.is_some()))
    }

    pub(super) fn drop_piece(&mut self) {
        (self.piece, self.has_piece, self.trailers) = (Bytes::new(), false, None);
    }
}

fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Data that waits to be read, stored by its bytes, whatever the size of its frames.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    first: Bytes,
    more: VecDeque<Bytes>,
    /// Small pieces, joined.
    last: BytesMut,
    bytes: usize,
}

impl Pieces {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether all of it is one piece.
    pub(super) fn is_one(&self) -> bool {
        self.first.len() == self.bytes
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        if self.is_empty() {
            self.first = Bytes::copy_from_slice(data);
        } else if data.len() < SMALL {
            self.last.extend_from_slice(data);
        } else {
            // Joined pieces arrived before this one, so they must stay before it.
            if !self.last.is_empty() {
                self.more.push_back(std::mem::take(&mut self.last).freeze());
            }
            self.more.push_back(Bytes::copy_from_slice(data));
        }
        self.bytes += data.len();
    }

    /// The next piece; empty when there is none.
    pub(super) fn pop(&mut self) -> Bytes {
        // The order of arrival: `first` was there before all others, and `last` collects pieces
        // that came after `more`.
        let piece = if !self.first.is_empty() {
            std::mem::take(&mut self.first)
        } else if let Some(piece) = self.more.pop_front() {
            piece
        } else if self.last.len() > TOGETHER {
            self.last.split_to(TOGETHER).freeze()
        } else {
            std::mem::take(&mut self.last).freeze()
        };
        self.bytes -= piece.len();
        piece
    }
}

/// A handle of a stream. Dropping the last one resets a stream that is open.
#[derive(Debug)]
pub(crate) struct StreamRef {
    pub(super) connection: Rc<Shared>,
    pub(super) key: usize,
}

impl Clone for StreamRef {
    fn clone(&self) -> Self {
        self.connection.state().stream(self.key).handles += 1;
        Self {
            connection: Rc::clone(&self.connection),
            key: self.key,
        }
    }
}

impl Drop for StreamRef {
    fn drop(&mut self) {
        self.connection.state().drop_handle(self.key);
    }
}

impl StreamRef {
    /// Resets the stream, if it is open.
    pub(crate) fn reset(&self, reason: ErrorCode) {
        self.connection.state().cancel(self.key, reason);
    }

    /// Ready when the stream was reset, or its connection ended.
    pub(crate) fn poll_reset(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.connection.state();
        let stream = state.stream(self.key);
        if stream.error.is_some() {
            return Poll::Ready(());
        }
        // The waker of the sending side: `fail` wakes both sides, and the reader may be another
        // task.
        stream.sending.wait(cx);
        Poll::Pending
    }

    /// The head of the response.
    ///
    /// # Errors
    /// There will be no response.
    pub(crate) fn poll_response(&self, cx: &Context<'_>) -> Poll<Result<response::Parts, Error>> {
        let mut state = self.connection.state();
        let stream = state.stream(self.key);
        if let Some(head) = stream.receiving.response.take() {
            return Poll::Ready(Ok(head));
        }
        if let Some(error) = &stream.error {
            return Poll::Ready(Err(error.clone()));
        }
        stream.receiving.wait(cx);
        Poll::Pending
    }

    /// An interim response; `None` when no further one will come.
    pub(crate) fn poll_interim(&self, cx: &Context<'_>) -> Poll<Option<StatusCode>> {
        let mut state = self.connection.state();
        let stream = state.stream(self.key);
        if let Some(status) = stream.receiving.interim.take() {
            return Poll::Ready(Some(status));
        }
        if stream.receiving.begun || stream.error.is_some() {
            return Poll::Ready(None);
        }
        stream.receiving.wait(cx);
        Poll::Pending
    }

    /// Sends the head of a response; `last` when nothing follows.
    pub(crate) fn respond(&self, status: StatusCode, fields: &HeaderMap, last: bool) {
        self.connection
            .state()
            .respond(self.key, status, fields, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_in_order_and_small_pieces_together() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut pieces, mut expected, mut got) = (Pieces::default(), Vec::new(), Vec::new());
            for n in 0..random.u8(1..60) {
                let length = if random.bool() {
                    random.usize(1..300)
                } else {
                    random.usize(1..9000)
                };
                let data = vec![n; length];
                expected.extend_from_slice(&data);
                pieces.push(&data);
                if random.u8(..8) == 0 {
                    got.extend_from_slice(&pieces.pop());
                }
                assert_eq!(pieces.len(), expected.len() - got.len());
            }
            while !pieces.is_empty() {
                let piece = pieces.pop();
                assert!(!piece.is_empty());
                got.extend_from_slice(&piece);
            }
            assert!(pieces.pop().is_empty() && got == expected);
        }
        let mut pieces = Pieces::default();
        (0..1000).for_each(|_| pieces.push(b"x"));
        assert_eq!(
            (pieces.pop().len(), pieces.pop().len(), pieces.len()),
            (1, 999, 0)
        );
    }
}
