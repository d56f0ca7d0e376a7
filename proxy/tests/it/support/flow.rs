//! One end of an HTTP/2 connection, read and written frame by frame, that keeps to flow control (RFC 9113 section 5.2).

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::time::Instant;

use super::{
    PATIENCE,
    cast::Cast,
    frames::{
        DATA, END_HEADERS, Event, Field, Frame, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, frame, number, status_of,
    },
};

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// The largest window there is.
pub const WIDE: u32 = 0x7fff_ffff;

/// The window of a new connection, and of a stream whose peer has not said otherwise.
const DEFAULT_WINDOW: u32 = 65_535;

const ACK: u8 = 1;

/// Frames written in one piece by [`Flow::send_small`].
const TOGETHER: usize = 16;

/// One end.
pub struct Flow {
    frames: Frames,
    /// What may be sent on the connection, on a new stream, and on each stream that was used.
    window: i64,
    initial: i64,
    streams: HashMap<u32, i64>,
    acknowledged: usize,
    /// Whether each DATA frame that arrives is given back to the sender's windows at once.
    pub gives_back: bool,
}

impl Flow {
    fn new(frames: Frames) -> Self {
        let window = i64::from(DEFAULT_WINDOW);
        Self {
            frames,
            window,
            initial: window,
            streams: HashMap::new(),
            acknowledged: 0,
            gives_back: true,
        }
    }

    /// A client. The proxy may not use a dynamic table, so that each status can be read without one.
    pub fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::new(Frames::connect_with(
            address,
            &[&[(HEADER_TABLE_SIZE, 0)], settings].concat(),
        ))
    }

    /// A client that never holds the sender back.
    pub fn connect_wide(address: SocketAddr) -> Self {
        let mut client = Self::connect(address, &[(INITIAL_WINDOW_SIZE, WIDE)]);
        client.widen(0, WIDE - DEFAULT_WINDOW);
        client.gives_back = false;
        client
    }

    /// How many of our SETTINGS the peer has acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) {
        self.frames.settings(settings);
    }

    pub fn headers(&mut self, stream: u32, fields: &[Field<'_>], end: bool) {
        self.frames.headers(stream, fields, end);
    }

    /// A request without a body, or the head of one with a body.
    pub fn request(&mut self, stream: u32, method: &str, path: &str, end: bool) {
        let fields: [Field<'_>; 4] = [
            (b":method", method.as_bytes()),
            (b":scheme", b"http"),
            (b":authority", b"a"),
            (b":path", path.as_bytes()),
        ];
        self.headers(stream, &fields, end);
    }

    /// The head of a response with status 200, by the entry of the static table.
    pub fn ok(&mut self, stream: u32, end: bool) {
        self.frames
            .frame(HEADERS, END_HEADERS | u8::from(end), stream, &[0x88]);
    }

    pub fn reset(&mut self, stream: u32, code: u32) {
        self.frames
            .frame(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    pub fn go_away(&mut self, last: u32, code: u32) {
        self.frames.frame(
            GOAWAY,
            0,
            0,
            &[last.to_be_bytes(), code.to_be_bytes()].concat(),
        );
    }

    /// Lets the peer send more on a stream, or on the connection (0).
    pub fn widen(&mut self, stream: u32, more: u32) {
        self.frames
            .frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    }

    /// Sends bytes as they are; whether the peer still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.frames.send(bytes)
    }

    /// How much DATA may be sent now.
    pub fn room(&self, stream: u32) -> usize {
        let own = self.streams.get(&stream).copied().unwrap_or(self.initial);
        usize::try_from(own.min(self.window)).unwrap_or(0)
    }

    /// Sends a whole DATA frame, for which there must be room.
    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) -> bool {
        self.spend(stream, bytes.len());
        self.frames.send(&frame(DATA, u8::from(end), stream, bytes))
    }

    /// Sends DATA frames of `size` bytes each: as many of `count` as there is room for, at most [`TOGETHER`]. How many.
    pub fn send_small(&mut self, stream: u32, size: usize, count: usize) -> usize {
        let count = count.min(TOGETHER).min(self.room(stream) / size.max(1));
        self.spend(stream, size * count);
        self.frames
            .send(&frame(DATA, 0, stream, &vec![b'x'; size]).repeat(count));
        count
    }

    fn spend(&mut self, stream: u32, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap();
        self.window -= bytes;
        *self.streams.entry(stream).or_insert(self.initial) -= bytes;
    }

    /// The next frame that means something to a test.
    pub fn next(&mut self) -> Event {
        self.next_until(Instant::now() + PATIENCE)
    }

    /// The same if it is there now.
    pub fn next_now(&mut self) -> Event {
        self.next_until(Instant::now())
    }

    /// SETTINGS and PING are dealt with here; anything else is returned, WINDOW_UPDATE once it is counted.
    pub fn next_until(&mut self, deadline: Instant) -> Event {
        loop {
            let event = self.frames.next_until(deadline);
            let Event::Frame(frame) = &event else {
                return event;
            };
            match frame.kind {
                SETTINGS if frame.flags & ACK != 0 => self.acknowledged += 1,
                SETTINGS => self.obey(&frame.payload),
                PING if frame.flags & ACK == 0 => self.frames.frame(PING, ACK, 0, &frame.payload),
                PING => {}
                WINDOW_UPDATE => {
                    let more = i64::from(number(&frame.payload) & WIDE);
                    match frame.stream {
                        0 => self.window += more,
                        stream => *self.streams.entry(stream).or_insert(self.initial) += more,
                    }
                    return event;
                }
                DATA if self.gives_back && !frame.payload.is_empty() => {
                    let (stream, length) = (frame.stream, frame.payload.len() as u32);
                    self.widen(0, length);
                    if !frame.ends() {
                        self.widen(stream, length);
                    }
                    return event;
                }
                _ => return event,
            }
        }
    }

    fn obey(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                let initial = i64::from(number(&setting[2..]));
                self.streams
                    .values_mut()
                    .for_each(|window| *window += initial - self.initial);
                self.initial = initial;
            }
        }
        self.frames.frame(SETTINGS, ACK, 0, &[]);
    }
}

/// An HTTP/2 app each of whose connections is played by a function, on a thread of its own; a panic of it fails the test.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _cast: Cast,
}

impl Server {
    /// `play` gets each connection once the preface was read, and which one it is (from 0). It sends SETTINGS itself.
    pub fn start(play: impl Fn(Flow, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, play) = (Arc::clone(&accepted), Arc::new(play));
        let cast = Cast::default();
        let stage = cast.stage();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (play, number) = (Arc::clone(&play), count.fetch_add(1, Ordering::SeqCst));
                stage.spawn(move || {
                    if let Some(flow) = accept(stream) {
                        play(flow, number);
                    }
                });
            }
        });
        Self {
            address,
            accepted,
            _cast: cast,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn accept(stream: TcpStream) -> Option<Flow> {
    Some(Flow::new(Frames::accept(stream)?))
}

/// The method of a request, where it is GET or POST (RFC 7541 appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Other,
}

impl Method {
    /// By the first field of a header block, which is an entry of the static table.
    pub fn of(block: &[u8]) -> Self {
        match block {
            [0x82, ..] => Self::Get,
            [0x83, ..] => Self::Post,
            _ => Self::Other,
        }
    }
}

/// What came on a stream of a client.
#[derive(Debug, Clone, Default)]
pub struct Came {
    /// Each head, informational ones first.
    pub statuses: Vec<u16>,
    pub bytes: usize,
    pub trailers: bool,
    pub ended: bool,
    pub reset: Option<u32>,
}

impl Came {
    /// The status of the final head; 0 without one.
    pub fn status(&self) -> u16 {
        self.statuses
            .last()
            .copied()
            .filter(|status| *status >= 200)
            .unwrap_or(0)
    }

    /// Whether nothing more can come.
    pub fn is_over(&self) -> bool {
        self.ended || self.reset.is_some()
    }

    fn take(&mut self, frame: &Frame) {
        match frame.kind {
            HEADERS if self.status() == 0 => self.statuses.push(status_of(&frame.payload)),
            HEADERS => self.trailers = true,
            DATA => self.bytes += frame.payload.len(),
            RST_STREAM => self.reset = Some(frame.code()),
            _ => {}
        }
        self.ended |= frame.ends();
    }
}

/// A client, and what has come on each of its streams.
pub struct Client {
    pub flow: Flow,
    came: HashMap<u32, Came>,
}

/// What ended a [`Client`] before what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// GOAWAY with an error.
    GoAway(u32),
    /// The end of the connection without a word.
    Closed,
    /// Nothing for [`PATIENCE`].
    Silent,
    /// RST_STREAM on the stream that it waited for.
    Reset(u32),
    /// END_STREAM on it, before what it waited for.
    Early,
}

impl Client {
    pub fn new(flow: Flow) -> Self {
        Self {
            flow,
            came: HashMap::new(),
        }
    }

    /// A client that never holds the proxy back.
    pub fn wide(address: SocketAddr) -> Self {
        Self::new(Flow::connect_wide(address))
    }

    pub fn came(&self, stream: u32) -> Came {
        self.came.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads until it holds.
    ///
    /// # Errors
    /// The connection ended, or nothing came for a long time.
    pub fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<(), Ended> {
        while !holds(self) {
            self.wait()?;
        }
        Ok(())
    }

    /// Reads one frame, whatever it is.
    ///
    /// # Errors
    /// The connection ended, or nothing came for a long time.
    pub fn wait(&mut self) -> Result<(), Ended> {
        let event = self.flow.next();
        self.take(event)
    }

    /// Reads what is there now.
    ///
    /// # Errors
    /// The connection ended.
    pub fn catch_up(&mut self) -> Result<(), Ended> {
        loop {
            match self.flow.next_now() {
                Event::Late => return Ok(()),
                event => self.take(event)?,
            }
        }
    }

    /// Reads until so many bytes have come on a stream.
    ///
    /// # Errors
    /// The stream or the connection ended, or nothing came for a long time.
    pub fn bytes(&mut self, stream: u32, count: usize) -> Result<(), Ended> {
        self.until(|client| client.came(stream).bytes >= count || client.came(stream).is_over())?;
        match self.came(stream) {
            Came { bytes, .. } if bytes >= count => Ok(()),
            Came {
                reset: Some(code), ..
            } => Err(Ended::Reset(code)),
            _ => Err(Ended::Early),
        }
    }

    /// Reads until a stream is over, and says what came on it.
    ///
    /// # Errors
    /// The connection ended, or nothing came for a long time.
    pub fn over(&mut self, stream: u32) -> Result<Came, Ended> {
        self.until(|client| client.came(stream).is_over())?;
        Ok(self.came(stream))
    }

    fn take(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Frame(frame) if frame.kind == GOAWAY && frame.code() != 0 => {
                Err(Ended::GoAway(frame.code()))
            }
            Event::Frame(frame) => {
                if frame.stream != 0 {
                    self.came.entry(frame.stream).or_default().take(&frame);
                }
                Ok(())
            }
            Event::Late => Err(Ended::Silent),
            Event::End => Err(Ended::Closed),
        }
    }
}
