//! Load in the background, connections that stay open, and what the proxy says about itself now.

use std::{
    future::Future,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use outrigger_loadtest::load::{self, FailureKind, Plan, Protocol, Report, Running};
use serde_json::Value;

use super::{
    PATIENCE, Proxy,
    frames::{GOAWAY, PING, frame},
    wait_for,
};

/// Runs a future of the load library to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A steady load on `url` until it is stopped.
pub fn steady(url: String, protocol: Protocol, rate: f64) -> Running {
    let mut plan = Plan::new(url);
    plan.protocol = protocol;
    plan.connections = 4;
    plan.rate = Some(rate);
    plan.duration = Some(Duration::from_secs(600));
    plan.timeout = PATIENCE;
    load::start(plan).unwrap()
}

/// Stops a load and adds up.
pub fn stop(running: Running) -> Report {
    running.stop();
    block_on(running.finish())
}

/// Failures other than a connect that was refused.
pub fn failed_after_connect(report: &Report) -> u64 {
    report.failed() - report.failed_by(FailureKind::Connect)
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Runs a command to its end; one that does not end is a failure.
pub fn run_to_end(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let pid = child.id();
    let (done, waited) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    waited.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        panic!("the command does not end")
    })
}

impl Proxy {
    /// Admin `GET /status`.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.admin("GET", "/status").1).unwrap()
    }

    pub fn generation(&self) -> u64 {
        self.status()["config"]["generation"].as_u64().unwrap()
    }

    /// The address of a listener as it is now; `None` when there is none of that name.
    pub fn address_now(&self, name: &str) -> Option<SocketAddr> {
        let mut address: SocketAddr = self.status()["addresses"][name].as_str()?.parse().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(address)
    }

    /// Reads the file again, which must be accepted.
    pub fn reload(&self) {
        let (status, text) = self.admin("POST", "/reload");
        assert_eq!(status, 200, "{text}");
    }

    /// Writes a file and reads it, which must be accepted.
    pub fn reload_with(&self, yaml: &str) {
        self.write_config(yaml);
        self.reload();
    }

    /// Writes exactly this, without addresses for `status` and `admin`.
    pub fn write_config_as_is(&self, text: &str) {
        std::fs::write(self.config_file(), text).unwrap();
    }

    /// Writes the file beside its name and renames it over, as editors do.
    pub fn rename_over(&self, yaml: &str) {
        let new = self.folder().join(".outrigger.yaml.new");
        std::fs::write(&new, super::with_servers(yaml)).unwrap();
        std::fs::rename(new, self.config_file()).unwrap();
    }

    pub fn wait_phase(&self, phase: &str) {
        wait_for(phase, || (self.status()["phase"] == phase).then_some(()));
    }
}

/// A ConfigMap volume, as the kubelet's atomic writer lays it out and swaps it.
pub fn swap_config_map(folder: &Path, generation: usize, content: &str) {
    use std::os::unix::fs::symlink;
    let (dated, data) = (format!("..{generation}"), folder.join("..data"));
    let before = std::fs::read_link(&data).ok();
    std::fs::create_dir(folder.join(&dated)).unwrap();
    std::fs::write(folder.join(&dated).join("outrigger.yaml"), content).unwrap();
    symlink(&dated, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), &data).unwrap();
    match before {
        Some(before) => std::fs::remove_dir_all(folder.join(before)).unwrap(),
        None => symlink("..data/outrigger.yaml", folder.join("outrigger.yaml")).unwrap(),
    }
}

/// One HTTP/1.1 connection that stays open.
pub struct KeepAlive {
    reader: BufReader<TcpStream>,
}

/// An answer on it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl KeepAlive {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    pub fn begin(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.begin(path);
        self.answer()
    }

    /// The head of an answer, in lower case.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.reader.read_line(&mut head).unwrap();
            assert!(read > 0, "closed within a head: {head:?}");
        }
        head.to_ascii_lowercase()
    }

    /// A whole answer, with a length or chunked.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => self.take(length.trim().parse().unwrap()),
            None if head.contains("transfer-encoding: chunked") => self.chunks(),
            None => Vec::new(),
        };
        Answer {
            status,
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            let length =
                usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("cut: {line:?}"));
            body.extend(self.take(length));
            self.take(2);
            if length == 0 {
                return body;
            }
        }
    }

    /// Whether the peer closes within [`PATIENCE`]; what it sends before does not matter.
    pub fn closes(&mut self) -> bool {
        std::io::copy(&mut self.reader, &mut std::io::sink()).is_ok()
    }

    /// Opens a WebSocket on `path`.
    pub fn upgrade(&mut self, path: &str) -> String {
        self.send(
            format!(
                "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        );
        self.head()
    }

    /// Sends a short text message (with a mask of zeros) and waits for its echo.
    pub fn echo(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        self.send(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat());
        assert_eq!(self.take(2), [0x81, length]);
        assert_eq!(self.take(text.len()), text.as_bytes());
    }
}

/// Waits for GOAWAY, or the end, on an HTTP/2 connection.
pub fn goaway_comes(stream: &mut TcpStream) -> bool {
    while let Some((kind, _)) = next_frame(stream) {
        if kind == GOAWAY {
            return true;
        }
    }
    false
}

/// Whether GOAWAY, or the end, is there by now: what the peer has sent comes before its answer to a PING.
pub fn goaway_comes_before_pong(stream: &mut TcpStream) -> bool {
    const ACK: u8 = 1;
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).unwrap();
    loop {
        match next_frame(stream) {
            Some((PING, ACK)) => return false,
            Some((GOAWAY, _)) | None => return true,
            Some(_) => {}
        }
    }
}

/// Kind and flags of the next frame.
fn next_frame(stream: &mut TcpStream) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    stream.read_exact(&mut vec![0; length]).unwrap();
    Some((head[3], head[4]))
}

/// The client's preface with empty SETTINGS.
pub fn http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        .unwrap();
    stream
}
