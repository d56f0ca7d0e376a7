//! Frames without message data: RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE and PRIORITY (RFC
//! 9113 sections 6.3 to 6.9).

use super::{
    Error, ErrorCode, Excess,
    connection::{CLOSE_PING, Closing, Side, State},
    fault::Fault,
    frame::{self, ACK, Head, LONGEST, number, setting},
};

/// Most requests at one time that are reset before they are taken (CVE-2023-44487).
const RESETS_UNSEEN: usize = 20;

/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: i64 = 0x7fff_ffff;

impl State {
    pub(super) fn reset_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let code = payload
            .try_into()
            .map_err(|_| Fault::new(ErrorCode::FRAME_SIZE_ERROR, "RST_STREAM"))?;
        if self.is_idle(head.stream) {
            return Err(Fault::protocol("RST_STREAM on a stream that is not open"));
        }
        let reason = ErrorCode(u32::from_be_bytes(code));
        let Some(key) = self.find(head.stream) else {
            return Ok(());
        };
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

    pub(super) fn settings_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS on a stream"));
        }
        if !payload.len().is_multiple_of(6) || (head.has(ACK) && !payload.is_empty()) {
            return Err(Fault::new(ErrorCode::FRAME_SIZE_ERROR, "SETTINGS"));
        }
        if head.has(ACK) {
            return Ok(());
        }
        if self.settings.side == Side::Server {
            self.counts.settings().map_err(Fault::excess)?;
        }
        for one in payload.as_chunks::<6>().0 {
            let [n0, n1, v0, v1, v2, v3] = *one;
            self.set(
                u16::from_be_bytes([n0, n1]),
                u32::from_be_bytes([v0, v1, v2, v3]),
            )?;
        }
        self.has_settings = true;
        frame::write_settings_ack(self.out.own());
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        match name {
            setting::HEADER_TABLE_SIZE => self.announce_table |= value < 4096,
            setting::ENABLE_PUSH
                if value > 1 || (value == 1 && self.settings.side == Side::Client) =>
            {
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

    /// The initial window changes the windows of all open streams too (RFC 9113 section 6.9.2).
    fn set_first_window(&mut self, window: i64) -> Result<(), Fault> {
        const TOO_LARGE: Fault = Fault::new(ErrorCode::FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE");
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

    pub(super) fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let payload = payload
            .try_into()
            .map_err(|_| Fault::new(ErrorCode::FRAME_SIZE_ERROR, "PING"))?;
        if head.stream != 0 {
            return Err(Fault::protocol("PING on a stream"));
        }
        if self.settings.side == Side::Server {
            let own = head.has(ACK) && payload == CLOSE_PING && self.closing == Closing::Announced;
            if !own {
                self.counts.ping().map_err(Fault::excess)?;
            }
        }
        match head.has(ACK) {
            true if payload == CLOSE_PING => self.close_confirmed(),
            true => {}
            false => frame::write_ping(self.out.own(), ACK, payload),
        }
        Ok(())
    }

    pub(super) fn go_away_came(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let Some((last, rest)) = payload.split_first_chunk() else {
            return Err(Fault::new(ErrorCode::FRAME_SIZE_ERROR, "GOAWAY"));
        };
        let Some(code) = rest.first_chunk() else {
            return Err(Fault::new(ErrorCode::FRAME_SIZE_ERROR, "GOAWAY"));
        };
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY on a stream"));
        }
        self.peer_closing = true;
        let (last, reason) = (number(*last), ErrorCode(u32::from_be_bytes(*code)));
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

    pub(super) fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let more = payload
            .try_into()
            .map_err(|_| Fault::new(ErrorCode::FRAME_SIZE_ERROR, "WINDOW_UPDATE"))?;
        let more = i64::from(number(more));
        if head.stream == 0 {
            self.send_window += more;
            if more == 0 {
                return Err(Fault::protocol("a window increment of 0"));
            }
            if self.send_window > LARGEST_WINDOW {
                return Err(Fault::new(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "the connection's window is too large",
                ));
            }
            self.pump();
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return Err(Fault::protocol(
                "WINDOW_UPDATE on a stream that is not open",
            ));
        }
        let Some(key) = self.find(head.stream) else {
            return Ok(());
        };
        if more == 0 {
            return self.reset(key, ErrorCode::PROTOCOL_ERROR, "a window increment of 0");
        }
        let sending = &mut self.stream(key).sending;
        sending.window += more;
        if sending.window > LARGEST_WINDOW {
            return self.reset(
                key,
                ErrorCode::FLOW_CONTROL_ERROR,
                "the stream's window is too large",
            );
        }
        self.enqueue(key);
        self.pump();
        Ok(())
    }

    /// Priorities are not used (RFC 9113 section 5.3.2).
    pub(super) fn priority(head: Head, payload: &[u8]) -> Result<(), Fault> {
        let depends_on: Option<[u8; 4]> = payload.first_chunk().copied();
        match depends_on {
            _ if head.stream == 0 => Err(Fault::protocol("PRIORITY on the connection")),
            Some(on) if payload.len() == 5 && number(on) != head.stream => Ok(()),
            Some(_) if payload.len() == 5 => {
                Err(Fault::protocol("a stream that depends on itself"))
            }
            _ => Err(Fault::new(ErrorCode::FRAME_SIZE_ERROR, "PRIORITY")),
        }
    }
}
