//! A TCP connection read and written by hand, for either end of the proxy, and an app made of such connections.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{PATIENCE, cast::Cast};

/// One connection.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the peer may not want to have.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Up to and with the empty line; empty at the end of the connection.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && self.0.read_line(&mut head).unwrap_or(0) > 0 {}
        head
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    pub fn exactly(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// One chunk of a chunked body; the last one is empty.
    pub fn chunk(&mut self) -> String {
        let size = self.line();
        let size = usize::from_str_radix(size.trim(), 16)
            .unwrap_or_else(|_| panic!("{size:?} is no chunk size"));
        if size == 0 {
            return String::new();
        }
        let chunk = self.exactly(size);
        assert_eq!(self.line(), "\r\n");
        chunk
    }

    /// The data of a whole chunked body, up to the line of the last chunk; what follows is for `head`.
    pub fn chunks(&mut self) -> String {
        std::iter::from_fn(|| Some(self.chunk()).filter(|chunk| !chunk.is_empty())).collect()
    }

    /// Everything to the end of the connection, also when that is a reset.
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut bytes) {
            let waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!waited, "the connection stays open");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether nothing comes for this long: neither a byte nor the end.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.0.get_ref().set_read_timeout(Some(time)).unwrap();
        let silent = self.0.fill_buf().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// A head and, by its Content-Length, a body.
    pub fn answer(&mut self) -> (String, String) {
        let head = self.head();
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = self.exactly(length);
        (head, body)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &str) -> (String, String) {
        self.send(request);
        self.answer()
    }

    pub fn close_write(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

/// The value of a field in a head as text.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The status in a head as text.
pub fn status(head: &str) -> u16 {
    head.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// An app whose every connection is played by a function, on a thread of its own; a panic of it fails the test.
pub struct App {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _cast: Cast,
}

impl App {
    /// `play` gets each connection, and which one it is (from 0).
    pub fn start(play: impl Fn(Wire, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, play) = (Arc::clone(&connections), Arc::new(play));
        let cast = Cast::default();
        let stage = cast.stage();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (play, number) = (Arc::clone(&play), count.fetch_add(1, Ordering::SeqCst));
                stage.spawn(move || play(Wire::over(stream.unwrap()), number));
            }
        });
        Self {
            address,
            connections,
            _cast: cast,
        }
    }

    /// Answers every request without body with these bytes.
    pub fn answering(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |mut wire, _| while !wire.head().is_empty() && wire.try_send(&bytes) {})
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}
