//! Sending: heads at once, data as far as the peer's windows and the output buffer allow (RFC 9113
//! section 5.2).
//!
//! A stream passes on one piece of data at a time. The part that the windows do not allow yet stays
//! with the stream. A stream that could send is in a queue; streams take turns, one frame each.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use outrigger_filters::recycle::maps;

use super::{
    Error, ErrorCode,
    connection::{Side, State},
    frame::{END_HEADERS, END_STREAM, Head, LONGEST, kind},
    hpack::encoder,
    message::Block,
    stream::Stream,
};

impl State {
    /// Opens a stream with the head of a request.
    pub(super) fn request(
        &mut self,
        method: &Method,
        last: bool,
        write: impl FnOnce(&mut Block<'_>),
    ) -> Result<usize, Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        // After GOAWAY the peer would ignore a new stream; the request can be sent elsewhere.
        if self.peer_closing {
            return Err(Error::Unprocessed(ErrorCode::NO_ERROR));
        }
        let id = if self.newest == 0 { 1 } else { self.newest + 2 };
        let key = self.add(id);
        let stream = self.stream(key);
        stream.receiving.only_head = *method == Method::HEAD;
        (stream.sending.begun, stream.sending.ended) = (true, last);
        self.write_head(id, last, write);
        Ok(key)
    }

    /// Sends the head of a response. When the stream was reset meanwhile, nothing is sent; its next
    /// poll returns the error.
    pub(super) fn respond(
        &mut self,
        key: usize,
        status: StatusCode,
        fields: &HeaderMap,
        last: bool,
    ) {
        let stream = self.stream(key);
        // The client may have reset the stream while the response was in progress.
        if stream.is_closed() || stream.sending.begun {
            return;
        }
        let id = stream.id;
        if !status.is_informational() {
            (stream.sending.begun, stream.sending.ended) = (true, last);
        }
        self.write_head(id, last, |block| {
            block.status(status);
            block.fields(fields);
        });
        self.close_if_done(key);
    }

    /// Sends data, or stores it to be sent later. The stream must not have a stored piece.
    pub(super) fn send(&mut self, key: usize, data: Bytes, last: bool) {
        let sending = &mut self.stream(key).sending;
        debug_assert!(
            !sending.has_piece && sending.begun && !sending.ended,
            "out of turn"
        );
        let is_end = data.is_empty();
        (sending.piece, sending.has_piece, sending.last) = (data, true, last);
        if is_end {
            self.send_frame(key); // it needs no window
        } else {
            self.enqueue(key);
            self.pump();
        }
    }

    /// Sends trailers, after a stored piece.
    pub(super) fn send_trailers(&mut self, key: usize, trailers: HeaderMap) {
        let stream = self.stream(key);
        if stream.sending.has_piece {
            stream.sending.trailers = Some(Box::new(trailers));
            return;
        }
        self.write_trailers(key, trailers);
        self.sent_to_the_end(key);
    }

    fn write_trailers(&mut self, key: usize, trailers: HeaderMap) {
        let stream = self.stream(key);
        stream.sending.ended = true;
        let id = stream.id;
        self.write_head(id, true, |block| block.fields(&trailers));
        maps::give_back(trailers);
    }

    /// Queues a stream if it has something that the windows allow.
    pub(super) fn enqueue(&mut self, key: usize) {
        let sending = &mut self.stream(key).sending;
        // A stream without window stays out of the queue, so that `pump` never scans streams that
        // cannot send. WINDOW_UPDATE queues it again.
        if sending.has_piece && sending.window > 0 && !sending.queued {
            sending.queued = true;
            self.queue.push_back(key);
        }
    }

    /// Sends data of the queued streams, as long as there is room.
    pub(super) fn pump(&mut self) {
        while self.out.has_room()
            && let Some(key) = self.queue.pop_front()
        {
            self.stream(key).sending.queued = false;
            if !self.send_frame(key) {
                // The connection's window is used up: this stream is the first to continue.
                self.stream(key).sending.queued = true;
                self.queue.push_front(key);
                return;
            }
        }
    }

    /// Sends a frame of a stream that has data; `false` when the connection's window has no room
    /// for it.
    fn send_frame(&mut self, key: usize) -> bool {
        let most = self.peer_frame.min(LONGEST) as i64;
        let window = self.send_window;
        let stream = self.stream(key);
        let sending = &mut stream.sending;
        if !sending.has_piece {
            return true; // the stream was reset
        }
        // A window can be negative after SETTINGS (RFC 9113 section 6.9.2).
        let room = most.min(window).min(sending.window).max(0) as usize;
        let length = sending.piece.len().min(room);
        if length == 0 && !sending.piece.is_empty() {
            return sending.window <= 0; // WINDOW_UPDATE queues it again
        }
        let data = sending.piece.split_to(length);
        sending.window -= length as i64;
        sending.moved += length as u64;
        let is_done = sending.piece.is_empty();
        let last = is_done && sending.last;
        let id = stream.id;
        self.send_window -= length as i64;
        // An empty piece that is not the last has no frame: it only completes.
        if length > 0 || last {
            let flags = if last { END_STREAM } else { 0 };
            Head {
                length,
                kind: kind::DATA,
                flags,
                stream: id,
            }
            .write(self.out.own());
            self.out.add(data);
            self.counts.sent();
            self.wake();
        }
        if is_done {
            self.piece_done(key, last)
        } else {
            // To the end of the queue: the other streams have their turn first.
            self.enqueue(key)
        }
        true
    }

    fn piece_done(&mut self, key: usize, last: bool) {
        let sending = &mut self.stream(key).sending;
        (sending.piece, sending.has_piece) = (Bytes::new(), false);
        sending.ended = last;
        sending.wake();
        if let Some(trailers) = sending.trailers.take() {
            self.write_trailers(key, *trailers);
        }
        self.sent_to_the_end(key);
    }

    /// Completes a message that may have been sent to its end.
    fn sent_to_the_end(&mut self, key: usize) {
        let side = self.settings.side;
        let stream = self.stream(key);
        if is_left_behind(stream) && side == Side::Server {
            self.cancel(key, ErrorCode::NO_ERROR); // the client need not send the rest
        } else {
            self.close_if_done(key);
        }
    }

    /// Writes a head or trailers, in as many frames as they need.
    fn write_head(&mut self, id: u32, last: bool, write: impl FnOnce(&mut Block<'_>)) {
        let announce_table = std::mem::take(&mut self.announce_table);
        let most = self.peer_frame.min(LONGEST);
        let flags = if last { END_STREAM } else { 0 };
        let out = self.out.own();
        // The length is unknown before the block is encoded, so it is written into the frame header
        // afterwards.
        let begin = out.len();
        let head = Head {
            length: 0,
            kind: kind::HEADERS,
            flags: flags | END_HEADERS,
            stream: id,
        };
        head.write(out);
        if announce_table {
            encoder::size_update(out);
        }
        write(&mut Block::new(out));
        let length = out.len() - begin - Head::SIZE;
        if length <= most {
            let [_, l0, l1, l2] = (length as u32).to_be_bytes();
            out[begin..begin + 3].copy_from_slice(&[l0, l1, l2]);
        } else {
            // Rare: the block is longer than a frame. It becomes HEADERS and CONTINUATION without
            // other frames in between.
            let block = out.split_off(begin + Head::SIZE);
            out.truncate(begin);
            write_in_parts(out, head, &block, most);
        }
        self.counts.sent();
        self.wake();
    }
}

/// Whether a message was sent to its end, the stream has no handle, and the peer still sends.
fn is_left_behind(stream: &Stream) -> bool {
    stream.sending.ended && stream.handles == 0 && !stream.receiving.ended && stream.error.is_none()
}

fn write_in_parts(out: &mut Vec<u8>, head: Head, block: &[u8], most: usize) {
    let mut parts = block.chunks(most).peekable();
    let mut frame = Head {
        flags: head.flags & !END_HEADERS,
        ..head
    };
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            frame.flags |= END_HEADERS;
        }
        frame.length = part.len();
        frame.write(out);
        out.extend_from_slice(part);
        frame = Head {
            kind: kind::CONTINUATION,
            flags: 0,
            ..frame
        };
    }
}
