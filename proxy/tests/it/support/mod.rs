//! Starts the real binary with a configuration, on free ports, and observes it from outside.
//! [`live`] has helpers for long tests: load, connections that stay open, and the current
//! `/status`.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod cast;
pub mod client;
pub mod dns;
pub mod flow;
pub mod frames;
pub mod front;
pub mod keys;
pub mod live;
pub mod pki;
pub mod python;
pub mod recording;
pub mod redis;
pub mod streams;
pub mod tls;
pub mod tokens;
pub mod wire;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use outrigger_loadtest::origin::Origin;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use self::pki::{Ca, Wanted};

/// How long anything may take before a test gives up; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy; killed when it is dropped.
pub struct Proxy {
    child: Child,
    folder: TempDir,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    addresses: HashMap<String, SocketAddr>,
}

/// An origin on a free port, on a thread of its own.
pub fn origin() -> Origin {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Origin::start()).unwrap()
}

impl Proxy {
    /// One inbound listener `in-0` in front of an app.
    pub fn in_front_of(origin: &Origin) -> Self {
        Self::start(&format!(
            "app: {{ port: {} }}\nlisteners: [{{ port: 0 }}]\n",
            origin.address().port()
        ))
    }

    /// One inbound listener `in-0` in front of an app on this port.
    pub fn in_front_of_port(port: u16) -> Self {
        Self::start(&format!(
            "app: {{ port: {port} }}\nlisteners: [{{ port: 0 }}]\n"
        ))
    }

    /// Where the one inbound listener is.
    pub fn inbound(&self) -> SocketAddr {
        self.address("in-0")
    }

    /// Runs `yaml`; `status` and `admin` get free ports unless it names them.
    pub fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, yaml)
    }

    fn start_in(folder: TempDir, yaml: &str) -> Self {
        let file = folder.path().join("outrigger.yaml");
        std::fs::write(&file, with_servers(yaml)).unwrap();
        Self::start_file(folder, &file)
    }

    /// Starts over TLS, with certificates of the first authority for the proxy and, where they show one, of the second for
    /// clients; `rest` of the configuration stands behind the listener.
    pub fn asking_clients((servers, clients): (&Ca, &Ca), app: u16, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        servers
            .sign(Wanted::server(&["localhost"]))
            .write(folder.path(), "tls");
        std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
        let yaml = format!(
            "app: {{ port: {app} }}\nlisteners:\n  - port: 0\n    tls:\n      certFile: tls.crt\n      keyFile: tls.key\n      \
             clientAuth: {{ mode: optional, caFiles: [clients.pem] }}\n{rest}"
        );
        Self::start_in(folder, &yaml)
    }

    /// Runs a file in a folder that lives as long as the proxy.
    pub fn start_file(folder: TempDir, file: &Path) -> Self {
        Self::spawn(folder, command().arg("run").arg("-c").arg(file))
    }

    /// Runs a command line that ends in a running proxy.
    pub fn spawn(folder: TempDir, command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        // A test may have its own stdout.
        let stdout = child.stdout.take().map_or_else(Default::default, collect);
        let stderr = collect(child.stderr.take().unwrap());
        let mut proxy = Self {
            child,
            folder,
            stdout,
            stderr,
            addresses: HashMap::new(),
        };
        wait_for("the proxy to start", || {
            let told = proxy.stderr();
            assert!(
                proxy.child.try_wait().unwrap().is_none(),
                "the proxy ended:\n{told}"
            );
            // Listeners are logged first, the two servers after them.
            told.contains("name=admin").then_some(())
        });
        proxy.read_addresses();
        proxy
    }

    fn read_addresses(&mut self) {
        for line in self.stderr().lines() {
            let field = |key: &str| {
                let (_, rest) = line.split_once(&format!("{key}="))?;
                rest.split_whitespace().next().map(str::to_owned)
            };
            if let (Some(name), Some(address)) = (field("name"), field("address")) {
                let mut address: SocketAddr = address.parse().unwrap();
                if address.ip().is_unspecified() {
                    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                self.addresses.insert(name, address);
            }
        }
    }

    /// The bound address of a listener, `status` or `admin`, as logged at the start.
    pub fn address(&self, name: &str) -> SocketAddr {
        *self
            .addresses
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.addresses))
    }

    pub fn url(&self, name: &str, path: &str) -> String {
        format!("http://{}{path}", self.address(name))
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("outrigger.yaml")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the file in place; the same rule for `status` and `admin` as at the start.
    pub fn write_config(&self, yaml: &str) {
        std::fs::write(self.config_file(), with_servers(yaml)).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// Waits until stderr has this: it is read by a thread of its own.
    pub fn wait_stderr(&self, text: &str) {
        wait_for(text, || self.stderr().contains(text).then_some(()));
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for an access-log line (the JSON form).
    pub fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for("an access-log line", || {
            self.stdout()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(&wanted)
        })
    }

    pub fn metrics(&self) -> String {
        get(self.address("status"), "/metrics").1
    }

    /// The value of one series, exactly as it stands before the space; 0 when it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.metrics();
        let line = page.lines().find(|line| {
            line.rsplit_once(' ')
                .is_some_and(|(name, _)| name == series)
        });
        line.map_or(0.0, |line| {
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        })
    }

    pub fn admin(&self, method: &str, path: &str) -> (u16, String) {
        ask(self.address("admin"), method, path)
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most memory in KiB that was ever resident, or since [`Proxy::forget_peak`]; the kernel keeps it, so nothing is
    /// missed on a busy machine.
    pub fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Where the kernel cannot forget it, the peak of before counts as well.
    pub fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5");
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &self.pid().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the proxy does not end:\n{}",
                self.stderr()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- stderr of the proxy\n{}", self.stderr());
        }
    }
}

/// The binary, with pipes and without the caller's settings.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command
        .env_remove("OUTRIGGER_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn with_servers(yaml: &str) -> String {
    let mut yaml = yaml.to_owned();
    for key in ["status", "admin"] {
        if !yaml
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
        {
            yaml.push_str(&format!("\n{key}: {{ address: \"127.0.0.1:0\" }}\n"));
        }
    }
    yaml
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::<Mutex<String>>::default();
    let shared = Arc::clone(&text);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            shared
                .lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}

/// Whether a program is installed; a test that needs it is skipped, loudly, where it is not.
pub fn is_there(program: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}

/// Asks again and again until there is an answer, for at most [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends raw bytes and reads until the peer closes or is silent for [`PATIENCE`].
pub fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(request); // the peer may refuse before it has read everything
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// The same with text.
pub fn http(address: SocketAddr, request: &str) -> String {
    String::from_utf8_lossy(&raw(address, request.as_bytes())).into_owned()
}

/// Status and body of a plain GET.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, "GET", path)
}

fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let answer = http(address, &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (status, body.to_owned())
}
