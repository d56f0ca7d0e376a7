//! Received bytes become frames, and frames change the state (RFC 9113 section 4).
//!
//! DATA is processed as it arrives, in any pieces. Other frames are small and are processed when
//! they are complete: those with header blocks in [`super::heads`], the others in
//! [`super::control`].

use tokio::time::Instant;

use super::{
    Error, ErrorCode, PREFACE,
    connection::{Side, State},
    fault::Fault,
    frame::{self, END_STREAM, Head, LONGEST, PADDED, kind},
};

/// The parse position.
#[derive(Debug)]
pub(super) struct Reading {
    /// Remaining bytes of the preface.
    preface: usize,
    /// No frame has arrived yet: SETTINGS must be the first.
    is_first: bool,
    /// The beginning of an incomplete frame.
    partial: Vec<u8>,
    /// Remaining bytes of a DATA frame.
    data: usize,
    /// Their stream; `None` when it is closed.
    data_stream: u32,
    data_ends: bool,
    pub(super) block: Option<Block>,
}

/// A header block that continues in CONTINUATION frames.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) frames: usize,
}

impl Reading {
    pub(super) fn new(side: Side) -> Self {
        Self {
            preface: if side == Side::Server {
                PREFACE.len()
            } else {
                0
            },
            is_first: true,
            partial: Vec::new(),
            data: 0,
            data_stream: 0,
            data_ends: false,
            block: None,
        }
    }

    /// Whether the last bytes end within a header block or a frame header.
    fn is_within_head(&self) -> bool {
        let begun = self.partial.len();
        self.block.is_some()
            || (1..Head::SIZE).contains(&begun)
            || (begun >= Head::SIZE
                && matches!(self.partial[3], kind::HEADERS | kind::CONTINUATION))
    }
}

impl State {
    /// Processes received bytes. An error in them closes the connection.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        if let Err(fault) = self.read(bytes) {
            self.excess = self.excess.or(fault.excess);
            self.fail(fault.reason, fault.why);
        }
        if !self.reading.is_within_head() {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
    }

    /// The peer has closed its sending side.
    pub(super) fn receive_end(&mut self) {
        self.end(Error::closed());
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        if self.reading.preface > 0 {
            bytes = self.read_preface(bytes)?;
        }
        while !bytes.is_empty() {
            bytes = if self.reading.data > 0 {
                self.read_data(bytes)?
            } else if self.reading.partial.is_empty() {
                self.read_frame(bytes)?
            } else {
                self.read_rest(bytes)?
            };
        }
        Ok(())
    }

    fn read_preface<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let expected = &PREFACE[PREFACE.len() - self.reading.preface..];
        let count = expected.len().min(bytes.len());
        if bytes[..count] != expected[..count] {
            return Err(Fault::protocol("no preface of HTTP/2"));
        }
        self.reading.preface -= count;
        Ok(&bytes[count..])
    }

    /// Reads a frame from its beginning.
    fn read_frame<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some((first, rest)) = bytes.split_first_chunk() else {
            self.reading.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let head = Head::read(first);
        self.check(head)?;
        // DATA is not collected: its payload goes to the stream as it arrives. Padded DATA is,
        // since the length of the padding comes first and the padding last.
        if head.kind == kind::DATA && !head.has(PADDED) {
            self.begin_data(head)?;
            return Ok(rest);
        }
        match rest.split_at_checked(head.length) {
            Some((payload, rest)) => {
                self.frame(head, payload)?;
                Ok(rest)
            }
            None => {
                self.reading.partial.extend_from_slice(bytes);
                Ok(&[])
            }
        }
    }

    /// Reads the rest of a frame whose beginning was stored.
    fn read_rest<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let mut partial = std::mem::take(&mut self.reading.partial);
        let begun = partial.len();
        if begun < Head::SIZE {
            // Complete the frame header first; the rest is read as if it had arrived together.
            let count = (Head::SIZE - begun).min(bytes.len());
            partial.extend_from_slice(&bytes[..count]);
            let Some(first) = partial.first_chunk() else {
                self.reading.partial = partial;
                return Ok(&[]);
            };
            let head = Head::read(first);
            self.check(head)?;
            // A frame without payload is complete already; it must not wait for further bytes.
            if head.kind == kind::DATA && !head.has(PADDED) {
                self.begin_data(head)?;
            } else if head.length == 0 {
                self.frame(head, &[])?;
            } else {
                self.reading.partial = partial;
            }
            return Ok(&bytes[count..]);
        }
        let head = partial
            .first_chunk()
            .map_or_else(|| unreachable!("it has a whole head"), Head::read);
        let count = (Head::SIZE + head.length - begun).min(bytes.len());
        partial.extend_from_slice(&bytes[..count]);
        if partial.len() == Head::SIZE + head.length {
            self.frame(head, &partial[Head::SIZE..])?;
        } else {
            self.reading.partial = partial;
        }
        Ok(&bytes[count..])
    }

    /// Checks a frame by its header alone.
    fn check(&mut self, head: Head) -> Result<(), Fault> {
        match &self.reading.block {
            // Nothing may come between the frames of a header block (RFC 9113 section 6.10).
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                return Err(Fault::protocol("a header block is not complete"));
            }
            Some(_) => {}
            // The next frame starts here: an incomplete one is timed from now.
            None => self.head_since = None,
        }
        if head.length > LONGEST {
            return Err(Fault::new(
                ErrorCode::FRAME_SIZE_ERROR,
                "a frame is longer than allowed",
            ));
        }
        if std::mem::take(&mut self.reading.is_first) && head.kind != kind::SETTINGS {
            return Err(Fault::protocol("the first frame is not SETTINGS"));
        }
        Ok(())
    }

    /// Processes a complete frame.
    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            kind::DATA => self.padded_data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::PRIORITY => Self::priority(head, payload),
            kind::RST_STREAM => self.reset_came(head, payload),
            kind::SETTINGS => self.settings_came(head, payload),
            kind::PUSH_PROMISE => Err(Fault::protocol("a push that was not enabled")),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => self.go_away_came(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            _ => Ok(()), // unknown types are ignored (RFC 9113 section 4.1)
        }
    }

    /// Starts a DATA frame; its payload is processed piece by piece.
    fn begin_data(&mut self, head: Head) -> Result<(), Fault> {
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(Fault::protocol("DATA on a stream that is not open"));
        }
        // The whole payload counts for the connection window at once, also when the stream is
        // closed (RFC 9113 section 6.9).
        self.receive_window -= head.length as i64;
        if self.receive_window < 0 {
            return Err(Fault::new(
                ErrorCode::FLOW_CONTROL_ERROR,
                "more DATA than the window allows",
            ));
        }
        if head.length > 0 {
            self.counts.progress();
        } else if !head.has(END_STREAM) {
            self.counts.empty_data().map_err(Fault::excess)?;
        }
        let ends = head.has(END_STREAM);
        (
            self.reading.data,
            self.reading.data_stream,
            self.reading.data_ends,
        ) = (head.length, head.stream, ends);
        // The payload of a closed stream is skipped by `read_data`, which returns its bytes to the
        // connection window.
        let Some(key) = self.find(head.stream) else {
            return self.data_behind_the_end(head.stream);
        };
        let stream = self.stream(key);
        if !stream.receiving.begun {
            return self.reset(key, ErrorCode::PROTOCOL_ERROR, "DATA before the head");
        }
        if stream.receiving.ended {
            return self.reset(key, ErrorCode::STREAM_CLOSED, "DATA after END_STREAM");
        }
        stream.receiving.window -= head.length as i64;
        if stream.receiving.window < 0 {
            return self.reset(
                key,
                ErrorCode::FLOW_CONTROL_ERROR,
                "more DATA than the window allows",
            );
        }
        if head.length == 0 && ends {
            self.data_ended(key)
        } else {
            Ok(())
        }
    }

    /// Frames that were on the way when this side reset the stream are ignored.
    fn data_behind_the_end(&mut self, id: u32) -> Result<(), Fault> {
        // DATA on a stream that the client itself has closed causes work without any use: it counts
        // like a reset.
        if self.settings.side == Side::Server && !self.reset_lately.contains(&id) {
            self.write_reset(id, ErrorCode::STREAM_CLOSED);
            return self.count_reset();
        }
        Ok(())
    }

    fn read_data<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (data, rest) = bytes.split_at(self.reading.data.min(bytes.len()));
        self.reading.data -= data.len();
        let ends = self.reading.data_ends && self.reading.data == 0;
        match self.find(self.reading.data_stream) {
            Some(key) => self.data(key, data, ends)?,
            None => self.release_connection(data.len()),
        }
        Ok(rest)
    }

    fn padded_data(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let data = frame::strip(head, payload)
            .ok_or(Fault::protocol("padding is longer than its frame"))?;
        // A part without data does not end the stream yet.
        self.begin_data(Head {
            flags: head.flags & !END_STREAM,
            ..head
        })?;
        // The payload is here already, so nothing is left for `read_data`.
        self.reading.data = 0;
        let Some(key) = self.find(head.stream) else {
            self.release_connection(payload.len());
            return Ok(());
        };
        // Padding counts for the windows and has no reader that would return it.
        self.release(key, payload.len() - data.len());
        self.data(key, data, head.has(END_STREAM))
    }

    fn data(&mut self, key: usize, data: &[u8], ends: bool) -> Result<(), Fault> {
        if !data.is_empty() {
            let receiving = &mut self.stream(key).receiving;
            let (is_announced, is_wanted) = (receiving.take(data), receiving.is_wanted);
            // Data without a reader is not stored; the connection window must not shrink for it.
            if !is_announced || !is_wanted {
                self.release_connection(data.len());
            }
            if !is_announced {
                return self.reset(
                    key,
                    ErrorCode::PROTOCOL_ERROR,
                    "more data than Content-Length says",
                );
            }
        }
        if ends { self.data_ended(key) } else { Ok(()) }
    }

    pub(super) fn data_ended(&mut self, key: usize) -> Result<(), Fault> {
        if !self.stream(key).receiving.end() {
            // The body is incomplete: a reader must get the error, not a regular end.
            self.stream(key).receiving.ended = false;
            return self.reset(
                key,
                ErrorCode::PROTOCOL_ERROR,
                "less data than Content-Length says",
            );
        }
        self.close_if_done(key);
        Ok(())
    }
}
