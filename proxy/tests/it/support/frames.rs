//! HTTP/2 by hand: frames as bytes and header blocks of literals, for what no client library would send.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use tokio::time::Instant;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITIZED: u8 = 0x20;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A name and a value, any bytes.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// RST_STREAM before an answer.
    Reset(u32),
    /// GOAWAY with an error.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// What a client's side of a connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether nothing follows on its stream.
    pub fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        number(&self.payload[if self.kind == GOAWAY { 4 } else { 0 }..])
    }
}

/// What the next read of a connection found.
#[derive(Debug, Clone)]
pub enum Event {
    Frame(Frame),
    /// Nothing until the deadline.
    Late,
    /// The end of the connection.
    End,
}

/// A connection with prior knowledge.
pub struct Frames {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Frames {
    pub fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(PREFACE).unwrap();
        let mut client = Self {
            stream,
            read: Vec::new(),
        };
        client.frame(SETTINGS, 0, 0, &[]);
        client
    }

    /// The client's side with these settings as its first.
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut client = Self::over(TcpStream::connect(address).unwrap());
        client.send(PREFACE);
        client.settings(settings);
        client
    }

    /// The server's side of a connection, once the client's preface was read; nothing was sent yet.
    pub fn accept(stream: TcpStream) -> Option<Self> {
        let mut server = Self::over(stream);
        server
            .take(PREFACE.len())
            .filter(|preface| preface == PREFACE)?;
        Some(server)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends SETTINGS.
    pub fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.frame(SETTINGS, 0, 0, &payload);
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload)); // the peer may have ended already
    }

    /// Sends bytes; whether the peer still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn headers(&mut self, stream: u32, fields: &[Field<'_>], end: bool) {
        self.frame(HEADERS, END_HEADERS | u8::from(end), stream, &block(fields));
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.frame(DATA, u8::from(end), stream, bytes);
    }

    /// Reads frames until `wanted` has ended, one way or another.
    pub fn outcome(&mut self, wanted: u32) -> Outcome {
        let mut status = None;
        loop {
            let Some((kind, flags, stream, payload)) = self.next() else {
                return status.map_or(Outcome::Closed, Outcome::Status);
            };
            match kind {
                HEADERS if stream == wanted && status.is_none() => {
                    status = Some(status_of(&payload))
                }
                RST_STREAM if stream == wanted => {
                    return status
                        .map_or_else(|| Outcome::Reset(number(&payload)), Outcome::Status);
                }
                GOAWAY if number(&payload[4..]) != 0 => {
                    return Outcome::GoAway(number(&payload[4..]));
                }
                _ => {}
            }
            if let Some(status) = status
                && stream == wanted
                && matches!(kind, HEADERS | DATA)
                && flags & END_STREAM != 0
            {
                return Outcome::Status(status);
            }
        }
    }

    /// The next frame if it is there before `deadline`; a deadline that has passed means: if it is there now.
    pub fn next_until(&mut self, deadline: Instant) -> Event {
        loop {
            if let [a, b, c, _, _, ..] = self.read[..] {
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if self.read.len() >= 9 + length {
                    let (kind, flags, stream, payload) = self.next().unwrap();
                    return Event::Frame(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    });
                }
            }
            let mut buffer = [0; 16 * 1024];
            match self.read_until(deadline, &mut buffer) {
                Ok(0) => return Event::End,
                Ok(read) => self.read.extend_from_slice(&buffer[..read]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Event::Late;
                }
                Err(_) => return Event::End,
            }
        }
    }

    fn read_until(&mut self, deadline: Instant, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.stream.set_nonblocking(true)?;
            let read = self.stream.read(buffer);
            self.stream.set_nonblocking(false)?;
            return read;
        }
        self.stream.set_read_timeout(Some(left))?;
        let read = self.stream.read(buffer);
        self.stream.set_read_timeout(Some(PATIENCE))?;
        read
    }

    /// The next frame: kind, flags, stream, payload.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.take(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.take(length)?;
        Some((head[3], head[4], number(&head[5..]) & 0x7fff_ffff, payload))
    }

    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut buffer = [0; 16 * 1024];
        while self.read.len() < count {
            match self.stream.read(&mut buffer) {
                Ok(read @ 1..) => self.read.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        }
        Some(self.read.drain(..count).collect())
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Literals without indexing and with a literal name (RFC 7541 section 6.2.2).
pub fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(length as u8 | 128);
            length >>= 7;
        }
        block.push(length as u8);
    }
    block.extend_from_slice(text);
}

/// The status at the front of a first header block: an entry of the static table, or a literal of three digits.
pub fn status_of(block: &[u8]) -> u16 {
    // A change of the table's size may stand in front.
    let block = if block[0] & 0xe0 == 0x20 {
        &block[1..]
    } else {
        block
    };
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        0x48 | 0x08 | 0x18 => {
            let length = usize::from(block[1] & 0x7f);
            let value = &block[2..2 + length];
            let digits = if block[1] & 0x80 == 0 {
                String::from_utf8(value.to_vec()).unwrap()
            } else {
                huffman(value)
            };
            digits.parse().unwrap()
        }
        other => panic!("a header block that begins with {other:#x}"),
    }
}

/// Huffman-coded digits (RFC 7541 appendix B): 0 to 2 have five bits, the others six.
fn huffman(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let value = |bits: &[u8]| bits.iter().fold(0, |value, bit| value << 1 | bit);
    let mut at = 0;
    let mut text = String::new();
    while text.len() < 3 {
        let five = value(&bits[at..at + 5]);
        if five < 3 {
            text.push(char::from(b'0' + five));
            at += 5;
        } else {
            text.push(char::from(b'3' + value(&bits[at..at + 6]) - 0x19));
            at += 6;
        }
    }
    text
}
