//! What the peer sends: bytes become frames, and frames change the state (RFC 9113 sections 4 to 6).
//!
//! DATA is taken as it comes, however it is cut. Other frames are small and are looked at when they are whole.

use tokio::time::Instant;

use super::{
    Error, Excess, PREFACE, Reason,
    connection::{FAREWELL, Fault, Going, Side, State},
    frame::{self, ACK, END_HEADERS, END_STREAM, Head, LONGEST, PADDED, kind, number, setting},
    message::{self, Fields, Malformed},
};

/// Frames of CONTINUATION in one header block.
const CONTINUATIONS: usize = 16;

/// Requests that may be reset before we have seen them, at one time (CVE-2023-44487).
const RESETS_UNSEEN: usize = 20;

/// A header block may unfold into so many times what a head may have. What is a little too large is answered.
const UNFOLDS: usize = 4;

/// Interim responses (1xx) before the response, as over HTTP/1.1.
const INTERIMS: u8 = 10;

/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: i64 = 0x7fff_ffff;

/// How far reading is.
#[derive(Debug)]
pub(super) struct Reading {
    /// Bytes of the preface still to come.
    preface: usize,
    /// No frame has come yet: SETTINGS must be the first.
    is_first: bool,
    /// The beginning of a frame that is not whole.
    partial: Vec<u8>,
    /// Bytes of DATA still to come.
    data: usize,
    /// Where they belong; none when the stream is closed.
    data_stream: u32,
    data_ends: bool,
    block: Option<Block>,
}

/// A header block that goes on in CONTINUATION.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
    frames: usize,
}

impl Reading {
    pub(super) fn new(side: Side) -> Self {
        Self {
            preface: if side == Side::Server { PREFACE.len() } else { 0 },
            is_first: true,
            partial: Vec::new(),
            data: 0,
            data_stream: 0,
            data_ends: false,
            block: None,
        }
    }

    /// Whether the last bytes end within a header block or the head of a frame.
    fn is_within_head(&self) -> bool {
        let begun = self.partial.len();
        self.block.is_some()
            || (1..Head::SIZE).contains(&begun)
            || (begun >= Head::SIZE && matches!(self.partial[3], kind::HEADERS | kind::CONTINUATION))
    }
}

impl State {
    /// Takes what was read. What was wrong with it ends the connection.
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

    /// The peer sends nothing more.
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

    /// Reads a frame of which nothing was read before.
    fn read_frame<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some((first, rest)) = bytes.split_first_chunk() else {
            self.reading.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let head = Head::read(first);
        self.check(head)?;
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

    /// Reads the rest of a frame whose beginning was read before.
    fn read_rest<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let mut partial = std::mem::take(&mut self.reading.partial);
        let begun = partial.len();
        if begun < Head::SIZE {
            // What comes behind the head is read as if it had come with it.
            let count = (Head::SIZE - begun).min(bytes.len());
            partial.extend_from_slice(&bytes[..count]);
            let Some(first) = partial.first_chunk() else {
                self.reading.partial = partial;
                return Ok(&[]);
            };
            let head = Head::read(first);
            self.check(head)?;
            if head.kind == kind::DATA && !head.has(PADDED) {
                self.begin_data(head)?;
            } else if head.length == 0 {
                self.frame(head, &[])?;
            } else {
                self.reading.partial = partial;
            }
            return Ok(&bytes[count..]);
        }
        let head = partial.first_chunk().map_or_else(|| unreachable!("it has a whole head"), Head::read);
        let count = (Head::SIZE + head.length - begun).min(bytes.len());
        partial.extend_from_slice(&bytes[..count]);
        if partial.len() == Head::SIZE + head.length {
            self.frame(head, &partial[Head::SIZE..])?;
        } else {
            self.reading.partial = partial;
        }
        Ok(&bytes[count..])
    }

    /// What is wrong with a frame by its head alone.
    fn check(&mut self, head: Head) -> Result<(), Fault> {
        match &self.reading.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                return Err(Fault::protocol("a header block is not complete"));
            }
            Some(_) => {}
            None => self.head_since = None, // what stops midway, if anything does, begins here
        }
        if head.length > LONGEST {
            return Err(Fault::new(Reason::FRAME_SIZE_ERROR, "a frame is longer than allowed"));
        }
        if std::mem::take(&mut self.reading.is_first) && head.kind != kind::SETTINGS {
            return Err(Fault::protocol("the first frame is not SETTINGS"));
        }
        Ok(())
    }

    /// A frame that is whole.
    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            kind::DATA => self.padded_data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::PRIORITY => priority(head, payload),
            kind::RST_STREAM => self.reset_came(head, payload),
            kind::SETTINGS => self.settings_came(head, payload),
            kind::PUSH_PROMISE => Err(Fault::protocol("a push that was not asked for")),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => self.go_away_came(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            _ => Ok(()), // RFC 9113 section 4.1
        }
    }

    // === DATA ===

    /// The head of DATA came; its payload is taken piece by piece.
    fn begin_data(&mut self, head: Head) -> Result<(), Fault> {
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(Fault::protocol("DATA on a stream that is not open"));
        }
        self.receive_window -= head.length as i64;
        if self.receive_window < 0 {
            return Err(Fault::new(Reason::FLOW_CONTROL_ERROR, "more DATA than the window allows"));
        }
        if head.length > 0 {
            self.counts.progress();
        } else if !head.has(END_STREAM) {
            self.counts.empty_data().map_err(Fault::excess)?;
        }
        let ends = head.has(END_STREAM);
        (self.reading.data, self.reading.data_stream, self.reading.data_ends) =
            (head.length, head.stream, ends);
        let Some(key) = self.find(head.stream) else {
            return self.data_behind_the_end(head.stream);
        };
        let stream = self.stream(key);
        if !stream.receiving.begun {
            return self.reset(key, Reason::PROTOCOL_ERROR, "DATA before the head");
        }
        if stream.receiving.ended {
            return self.reset(key, Reason::STREAM_CLOSED, "DATA behind the end");
        }
        stream.receiving.window -= head.length as i64;
        if stream.receiving.window < 0 {
            return self.reset(key, Reason::FLOW_CONTROL_ERROR, "more DATA than the window allows");
        }
        if head.length == 0 && ends { self.data_ended(key) } else { Ok(()) }
    }

    /// What was under way when we reset a stream is passed over.
    fn data_behind_the_end(&mut self, id: u32) -> Result<(), Fault> {
        if self.settings.side == Side::Server && !self.reset_lately.contains(&id) {
            self.write_reset(id, Reason::STREAM_CLOSED);
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
        let data = frame::strip(head, payload).ok_or(Fault::protocol("padding is longer than its frame"))?;
        // A part without data ends nothing yet.
        self.begin_data(Head { flags: head.flags & !END_STREAM, ..head })?;
        self.reading.data = 0;
        let Some(key) = self.find(head.stream) else {
            self.release_connection(payload.len());
            return Ok(());
        };
        self.release(key, payload.len() - data.len());
        self.data(key, data, head.has(END_STREAM))
    }

    fn data(&mut self, key: usize, data: &[u8], ends: bool) -> Result<(), Fault> {
        if !data.is_empty() {
            let receiving = &mut self.stream(key).receiving;
            let (is_announced, is_wanted) = (receiving.take(data), receiving.is_wanted);
            if !is_announced || !is_wanted {
                self.release_connection(data.len());
            }
            if !is_announced {
                return self.reset(key, Reason::PROTOCOL_ERROR, "more data than Content-Length says");
            }
        }
        if ends { self.data_ended(key) } else { Ok(()) }
    }

    fn data_ended(&mut self, key: usize) -> Result<(), Fault> {
        if !self.stream(key).receiving.end() {
            self.stream(key).receiving.ended = false;
            return self.reset(key, Reason::PROTOCOL_ERROR, "less data than Content-Length says");
        }
        self.close_if_done(key);
        Ok(())
    }

    // === HEADERS ===

    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream & 1 == 0 {
            return Err(Fault::protocol("HEADERS on a stream that the peer cannot open"));
        }
        let block = frame::strip(head, payload).ok_or_else(|| match head.has(PADDED) {
            true => Fault::protocol("padding is longer than its frame"),
            false => Fault::new(Reason::FRAME_SIZE_ERROR, "HEADERS without their priority"),
        })?;
        let ends = head.has(END_STREAM);
        if head.has(END_HEADERS) {
            return self.header_block(head.stream, ends, block);
        }
        self.reading.block = Some(Block { stream: head.stream, ends, bytes: block.to_vec(), frames: 0 });
        Ok(())
    }

    fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let most = self.settings.header_list as usize + LONGEST;
        let Some(block) = &mut self.reading.block else {
            return Err(Fault::protocol("CONTINUATION without HEADERS"));
        };
        block.frames += 1;
        if block.frames > CONTINUATIONS || block.bytes.len() + payload.len() > most {
            return Err(Fault::excess(Excess::Continuation));
        }
        block.bytes.extend_from_slice(payload);
        if head.has(END_HEADERS)
            && let Some(block) = self.reading.block.take()
        {
            return self.header_block(block.stream, block.ends, &block.bytes);
        }
        Ok(())
    }

    fn header_block(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        match (self.find(id), self.settings.side) {
            (Some(key), Side::Server) => self.trailers(key, ends, block),
            (Some(key), Side::Client) if self.stream(key).receiving.begun => self.trailers(key, ends, block),
            (Some(key), Side::Client) => self.response(key, ends, block),
            (None, Side::Server) if id > self.newest => self.new_request(id, ends, block),
            (None, Side::Server) if !self.reset_lately.contains(&id) => {
                Err(Fault::new(Reason::STREAM_CLOSED, "HEADERS on a stream that is closed"))
            }
            (None, Side::Client) if id > self.newest => {
                Err(Fault::protocol("HEADERS on a stream that was not opened"))
            }
            // The block counts for the table all the same.
            (None, _) => self.decode(block).map(drop),
        }
    }

    fn decode(&mut self, block: &[u8]) -> Result<Fields, Fault> {
        let most = self.settings.header_list as usize;
        let mut fields = Fields::new(most);
        let decoded = self.decoder.decode(block, &mut |field, size| {
            fields.take(field, size);
            fields.size() <= most * UNFOLDS
        });
        match decoded {
            Err(error) => Err(Fault::new(Reason::COMPRESSION_ERROR, error.reason())),
            Ok(()) if fields.size() > most * UNFOLDS => Err(Fault::excess(Excess::Fields)),
            Ok(()) => Ok(fields),
        }
    }

    fn new_request(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        self.counts.stream();
        let fields = self.decode(block)?;
        if matches!(self.going, Going::Since(last) if id > last) {
            self.newest = id;
            self.pass_over(id);
            return Ok(());
        }
        if self.open.len() >= self.settings.streams as usize {
            self.newest = id;
            self.refusals.streams += 1;
            self.write_reset(id, Reason::REFUSED_STREAM);
            return Ok(());
        }
        let (head, length) = match message::request(fields, ends) {
            Ok(request) => request,
            Err(Malformed(why)) => {
                tracing::debug!(why, "malformed HTTP/2 request");
                self.newest = id;
                self.refusals.malformed += 1;
                self.write_reset(id, Reason::PROTOCOL_ERROR);
                return self.count_reset();
            }
        };
        let key = self.add(id);
        let receiving = &mut self.stream(key).receiving;
        (receiving.begun, receiving.ended) = (true, ends);
        (receiving.left, receiving.unread) = (length, length);
        self.arrived.push_back((head, key));
        Ok(())
    }

    fn response(&mut self, key: usize, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let fields = self.decode(block)?;
        let only_head = self.stream(key).receiving.only_head;
        let (head, length) = match message::response(fields, ends, only_head) {
            Ok(response) => response,
            Err(Malformed(why)) => return self.reset(key, Reason::PROTOCOL_ERROR, why),
        };
        let receiving = &mut self.stream(key).receiving;
        if head.status.is_informational() {
            receiving.interim = Some(head.status);
            receiving.interims += 1;
            if receiving.interims > INTERIMS {
                return self.reset(key, Reason::PROTOCOL_ERROR, "too many interim responses");
            }
        } else {
            (receiving.begun, receiving.ended) = (true, ends);
            // Without a body the length is that of another response.
            (receiving.left, receiving.unread) = (length, length.filter(|length| *length > 0));
            receiving.response = Some(head);
        }
        receiving.wake();
        self.close_if_done(key);
        Ok(())
    }

    fn trailers(&mut self, key: usize, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let fields = self.decode(block)?;
        self.counts.progress();
        if self.stream(key).receiving.ended {
            return self.reset(key, Reason::STREAM_CLOSED, "HEADERS behind the end");
        }
        if !ends {
            return self.reset(key, Reason::PROTOCOL_ERROR, "a second head");
        }
        match message::trailers(fields) {
            Ok(trailers) => {
                self.stream(key).receiving.trailers = Some(trailers);
                self.data_ended(key)
            }
            Err(Malformed(why)) => self.reset(key, Reason::PROTOCOL_ERROR, why),
        }
    }

    // === the others ===

    fn reset_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.try_into().map_err(|_| Fault::new(Reason::FRAME_SIZE_ERROR, "RST_STREAM"))?;
        if self.is_idle(head.stream) {
            return Err(Fault::protocol("RST_STREAM on a stream that is not open"));
        }
        let reason = Reason(u32::from_be_bytes(code));
        let Some(key) = self.find(head.stream) else { return Ok(()) };
        let begun = self.stream(key).sending.begun;
        self.stream(key).fail(Error::Reset(reason));
        self.close_if_done(key);
        if begun || self.settings.side == Side::Client {
            return Ok(());
        }
        if self.arrived.iter().any(|(_, one)| *one == key) {
            self.unseen_resets += 1;
            if self.unseen_resets > RESETS_UNSEEN {
                return Err(Fault::excess(Excess::Resets));
            }
        }
        self.count_reset()
    }

    fn settings_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS on a stream"));
        }
        if !payload.len().is_multiple_of(6) || (head.has(ACK) && !payload.is_empty()) {
            return Err(Fault::new(Reason::FRAME_SIZE_ERROR, "SETTINGS"));
        }
        if head.has(ACK) {
            return Ok(());
        }
        if self.settings.side == Side::Server {
            self.counts.settings().map_err(Fault::excess)?;
        }
        for one in payload.as_chunks::<6>().0 {
            let [n0, n1, v0, v1, v2, v3] = *one;
            self.set(u16::from_be_bytes([n0, n1]), u32::from_be_bytes([v0, v1, v2, v3]))?;
        }
        self.has_settings = true;
        frame::write_settings_ack(self.out.own());
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        match name {
            setting::HEADER_TABLE_SIZE => self.tell_table |= value < 4096,
            setting::ENABLE_PUSH if value > 1 || (value == 1 && self.settings.side == Side::Client) => {
                return Err(Fault::protocol("ENABLE_PUSH"));
            }
            setting::MAX_CONCURRENT_STREAMS => self.peer_streams = value as usize,
            setting::INITIAL_WINDOW_SIZE => self.set_first_window(i64::from(value))?,
            setting::MAX_FRAME_SIZE if !(LONGEST..1 << 24).contains(&(value as usize)) => {
                return Err(Fault::protocol("MAX_FRAME_SIZE"));
            }
            setting::MAX_FRAME_SIZE => self.peer_frame = value as usize,
            _ => {}
        }
        Ok(())
    }

    /// The windows of all streams change with that of new ones (RFC 9113 section 6.9.2).
    fn set_first_window(&mut self, window: i64) -> Result<(), Fault> {
        const TOO_LARGE: Fault = Fault::new(Reason::FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE");
        if window > LARGEST_WINDOW {
            return Err(TOO_LARGE);
        }
        let more = window - std::mem::replace(&mut self.peer_window, window);
        for place in 0..self.open.len() {
            let key = self.open[place].1;
            let sending = &mut self.stream(key).sending;
            sending.window += more;
            if sending.window > LARGEST_WINDOW {
                return Err(TOO_LARGE);
            }
            self.enqueue(key);
        }
        self.pump();
        Ok(())
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let payload = payload.try_into().map_err(|_| Fault::new(Reason::FRAME_SIZE_ERROR, "PING"))?;
        if head.stream != 0 {
            return Err(Fault::protocol("PING on a stream"));
        }
        if self.settings.side == Side::Server {
            let own = head.has(ACK) && payload == FAREWELL && self.going == Going::Told;
            if !own {
                self.counts.ping().map_err(Fault::excess)?;
            }
        }
        match head.has(ACK) {
            true if payload == FAREWELL => self.farewell_confirmed(),
            true => {}
            false => frame::write_ping(self.out.own(), ACK, payload),
        }
        Ok(())
    }

    fn go_away_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let Some((last, rest)) = payload.split_first_chunk() else {
            return Err(Fault::new(Reason::FRAME_SIZE_ERROR, "GOAWAY"));
        };
        let Some(code) = rest.first_chunk() else {
            return Err(Fault::new(Reason::FRAME_SIZE_ERROR, "GOAWAY"));
        };
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY on a stream"));
        }
        self.peer_goes = true;
        let (last, reason) = (number(*last), Reason(u32::from_be_bytes(*code)));
        tracing::debug!(last, %reason, words = %rest[4..].escape_ascii(), "the peer sent GOAWAY");
        if self.settings.side == Side::Client {
            while let Some((id, key)) = self.open.back().copied().filter(|(id, _)| *id > last) {
                self.stream(key).fail(Error::Unprocessed(reason));
                self.close_if_done(key);
                debug_assert!(self.find(id).is_none());
            }
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let more = payload.try_into().map_err(|_| Fault::new(Reason::FRAME_SIZE_ERROR, "WINDOW_UPDATE"))?;
        let more = i64::from(number(more));
        if head.stream == 0 {
            self.send_window += more;
            if more == 0 {
                return Err(Fault::protocol("a window of nothing more"));
            }
            if self.send_window > LARGEST_WINDOW {
                return Err(Fault::new(Reason::FLOW_CONTROL_ERROR, "the connection's window is too large"));
            }
            self.pump();
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return Err(Fault::protocol("WINDOW_UPDATE on a stream that is not open"));
        }
        let Some(key) = self.find(head.stream) else { return Ok(()) };
        if more == 0 {
            return self.reset(key, Reason::PROTOCOL_ERROR, "a window of nothing more");
        }
        let sending = &mut self.stream(key).sending;
        sending.window += more;
        if sending.window > LARGEST_WINDOW {
            return self.reset(key, Reason::FLOW_CONTROL_ERROR, "the stream's window is too large");
        }
        self.enqueue(key);
        self.pump();
        Ok(())
    }
}

/// Priorities are not used (RFC 9113 section 5.3.2).
fn priority(head: Head, payload: &[u8]) -> Result<(), Fault> {
    let depends_on: Option<[u8; 4]> = payload.first_chunk().copied();
    match depends_on {
        _ if head.stream == 0 => Err(Fault::protocol("PRIORITY on the connection")),
        Some(on) if payload.len() == 5 && number(on) != head.stream => Ok(()),
        Some(_) if payload.len() == 5 => Err(Fault::protocol("a stream that depends on itself")),
        _ => Err(Fault::new(Reason::FRAME_SIZE_ERROR, "PRIORITY")),
    }
}
