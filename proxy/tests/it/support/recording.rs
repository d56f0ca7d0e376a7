//! An origin that keeps the exact bytes of every connection and answers with scripted bytes.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{cast::Cast, wait_for};

/// What the origin does next on a connection.
pub enum Act {
    /// Writes these bytes and waits for the next request.
    Answer(Vec<u8>),
    /// Writes the first, and the second a moment later, unasked.
    Late(Vec<u8>, Vec<u8>),
    /// Writes these bytes and closes.
    Close(Vec<u8>),
}

/// What the origin has read of one connection.
#[derive(Clone, Default)]
struct Connection {
    bytes: Vec<u8>,
    ended: bool,
}

/// One message as it came; names in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Message {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// A recording origin on a free port; a panic of its script fails the test.
#[derive(Clone)]
pub struct Recording {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Connection>>>,
    _cast: Arc<Cast>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Recording {
    /// Answers every complete request with `200 ok`.
    pub fn ok() -> Self {
        Self::start(false, |_| Act::Answer(OK.to_vec()))
    }

    /// Answers every complete request as `script` says.
    pub fn answering(script: impl Fn(&Message) -> Act + Send + Sync + 'static) -> Self {
        Self::start(false, script)
    }

    /// The same as soon as the head is complete; the body is not waited for.
    pub fn answering_early(script: impl Fn(&Message) -> Act + Send + Sync + 'static) -> Self {
        Self::start(true, script)
    }

    fn start(early: bool, script: impl Fn(&Message) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<Mutex<Vec<Connection>>>::default();
        let (shared, script) = (Arc::clone(&connections), Arc::new(script));
        let cast = Arc::new(Cast::default());
        let stage = cast.stage();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let index = {
                    let mut all = shared.lock().unwrap();
                    all.push(Connection::default());
                    all.len() - 1
                };
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                stage.spawn(move || {
                    serve(stream, early, &*script, |bytes| {
                        let one = &mut shared.lock().unwrap()[index];
                        match bytes {
                            Some(bytes) => one.bytes.extend_from_slice(bytes),
                            None => one.ended = true,
                        }
                    });
                });
            }
        });
        Self {
            address,
            connections,
            _cast: cast,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// The bytes of each connection.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.connections
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.bytes.clone())
            .collect()
    }

    pub fn total_bytes(&self) -> usize {
        self.connections
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.bytes.len())
            .sum()
    }

    /// Every complete message, connection by connection. Bytes that are no message are a failure unless the
    /// connection was cut in the middle of one.
    pub fn messages(&self) -> Vec<Message> {
        self.bytes()
            .iter()
            .flat_map(|bytes| messages(bytes))
            .collect()
    }

    /// Waits until the proxy has closed connection number `index`.
    pub fn wait_closed(&self, index: usize) {
        wait_for("the proxy to close its upstream connection", || {
            self.connections
                .lock()
                .unwrap()
                .get(index)
                .is_some_and(|one| one.ended)
                .then_some(())
        });
    }

    pub fn is_open(&self, index: usize) -> bool {
        self.connections
            .lock()
            .unwrap()
            .get(index)
            .is_some_and(|one| !one.ended)
    }
}

fn serve(
    mut stream: TcpStream,
    early: bool,
    script: &impl Fn(&Message) -> Act,
    record: impl Fn(Option<&[u8]>),
) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut answered_early = false;
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        record(Some(&buffer[..read]));
        pending.extend_from_slice(&buffer[..read]);
        loop {
            let message = match parse(&pending) {
                Some((message, length)) => {
                    pending.drain(..length);
                    if std::mem::take(&mut answered_early) {
                        continue;
                    }
                    message
                }
                None if early && !answered_early => match parse_head(&pending) {
                    Some((message, _)) => {
                        answered_early = true;
                        message
                    }
                    None => break,
                },
                None => break,
            };
            match script(&message) {
                Act::Answer(bytes) => {
                    let _ = stream.write_all(&bytes);
                }
                Act::Late(first, second) => {
                    let _ = stream.write_all(&first);
                    thread::sleep(Duration::from_millis(100)); // what is tested is that this comes later
                    let _ = stream.write_all(&second);
                }
                Act::Close(bytes) => {
                    let _ = stream.write_all(&bytes);
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
        }
    }
    record(None);
}

/// All complete messages in `bytes`.
pub fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((message, length)) = parse(rest) {
        found.push(message);
        rest = &rest[length..];
    }
    found
}

fn parse_head(bytes: &[u8]) -> Option<(Message, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    Some((
        Message {
            line,
            fields: lines.map(field).collect(),
            ..Message::default()
        },
        end + 4,
    ))
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

/// One request or response with its body; a message without framing has none.
pub fn parse(bytes: &[u8]) -> Option<(Message, usize)> {
    let (mut message, mut at) = parse_head(bytes)?;
    if !message.all("transfer-encoding").is_empty() {
        loop {
            let end = at + bytes[at..].windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..end]).unwrap(), 16)
                .expect("the proxy writes a bare chunk size");
            at = end + 2;
            if size == 0 {
                break;
            }
            message.body.extend_from_slice(bytes.get(at..at + size)?);
            assert_eq!(
                bytes.get(at + size..at + size + 2)?,
                b"\r\n",
                "a chunk ends with CR LF"
            );
            at += size + 2;
        }
        loop {
            let end = at + bytes[at..].windows(2).position(|two| two == b"\r\n")?;
            let line = String::from_utf8_lossy(&bytes[at..end]).into_owned();
            at = end + 2;
            if line.is_empty() {
                return Some((message, at));
            }
            message.trailers.push(field(&line));
        }
    }
    let length = message
        .all("content-length")
        .first()
        .map_or(0, |text| text.parse().unwrap());
    message.body = bytes.get(at..at + length)?.to_vec();
    Some((message, at + length))
}
