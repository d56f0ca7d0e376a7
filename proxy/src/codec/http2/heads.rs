//! HEADERS and CONTINUATION: header blocks become requests, responses and trailers (RFC 9113
//! sections 6.2, 6.10 and 8).

use super::{
    ErrorCode, Excess,
    connection::{Closing, Side, State},
    fault::Fault,
    frame::{self, END_HEADERS, END_STREAM, Head, LONGEST, PADDED},
    message::{self, Fields, Malformed},
    receive::Block,
};

/// Most CONTINUATION frames in one header block.
const CONTINUATIONS: usize = 16;

/// A header block may decode to this many times the limit of a head. A head that is only a little
/// too large gets a response.
const UNFOLDS: usize = 4;

/// Interim responses (1xx) before the response, as over HTTP/1.1.
const INTERIMS: u8 = 10;

impl State {
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream & 1 == 0 {
            return Err(Fault::protocol(
                "HEADERS on a stream that the peer cannot open",
            ));
        }
        let block = frame::strip(head, payload).ok_or_else(|| match head.has(PADDED) {
            true => Fault::protocol("padding is longer than its frame"),
            false => Fault::new(
                ErrorCode::FRAME_SIZE_ERROR,
                "HEADERS without their priority",
            ),
        })?;
        let ends = head.has(END_STREAM);
        if head.has(END_HEADERS) {
            return self.header_block(head.stream, ends, block);
        }
        self.reading.block = Some(Block {
            stream: head.stream,
            ends,
            bytes: block.to_vec(),
            frames: 0,
        });
        Ok(())
    }

    pub(super) fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
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
            (Some(key), Side::Client) if self.stream(key).receiving.begun => {
                self.trailers(key, ends, block)
            }
            (Some(key), Side::Client) => self.response(key, ends, block),
            (None, Side::Server) if id > self.newest => self.new_request(id, ends, block),
            (None, Side::Server) if !self.reset_lately.contains(&id) => Err(Fault::new(
                ErrorCode::STREAM_CLOSED,
                "HEADERS on a stream that is closed",
            )),
            (None, Side::Client) if id > self.newest => {
                Err(Fault::protocol("HEADERS on a stream that was not opened"))
            }
            // The block is decoded all the same, for its effect on the dynamic table.
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
            Err(error) => Err(Fault::new(ErrorCode::COMPRESSION_ERROR, error.reason())),
            Ok(()) if fields.size() > most * UNFOLDS => Err(Fault::excess(Excess::Fields)),
            Ok(()) => Ok(fields),
        }
    }

    fn new_request(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        self.counts.stream();
        let fields = self.decode(block)?;
        if matches!(self.closing, Closing::Since(last) if id > last) {
            self.newest = id;
            self.ignore(id);
            return Ok(());
        }
        if self.open.len() >= self.settings.streams as usize {
            self.newest = id;
            self.refusals.streams += 1;
            self.write_reset(id, ErrorCode::REFUSED_STREAM);
            return Ok(());
        }
        let (head, length) = match message::request(fields, ends) {
            Ok(request) => request,
            Err(Malformed(why)) => {
                tracing::debug!(why, "malformed HTTP/2 request");
                self.newest = id;
                self.refusals.malformed += 1;
                self.write_reset(id, ErrorCode::PROTOCOL_ERROR);
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
            Err(Malformed(why)) => return self.reset(key, ErrorCode::PROTOCOL_ERROR, why),
        };
        let receiving = &mut self.stream(key).receiving;
        if head.status.is_informational() {
            receiving.interim = Some(head.status);
            receiving.interims += 1;
            if receiving.interims > INTERIMS {
                return self.reset(key, ErrorCode::PROTOCOL_ERROR, "too many interim responses");
            }
        } else {
            (receiving.begun, receiving.ended) = (true, ends);
            // Without a body (HEAD), the length belongs to another response.
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
            return self.reset(key, ErrorCode::STREAM_CLOSED, "HEADERS after END_STREAM");
        }
        if !ends {
            return self.reset(key, ErrorCode::PROTOCOL_ERROR, "a second head");
        }
        match message::trailers(fields) {
            Ok(trailers) => {
                self.stream(key).receiving.trailers = Some(trailers);
                self.data_ended(key)
            }
            Err(Malformed(why)) => self.reset(key, ErrorCode::PROTOCOL_ERROR, why),
        }
    }
}
