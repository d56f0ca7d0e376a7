//! A folder with logs, a shipper over it, and a server with queued responses.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, OpenOptions},
    io::{Read, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use outrigger_logs::{
    counters::Counters,
    record::{AssemblerSettings, Filter, Format, Labels, Mapping, Parser, Redact, Timestamps},
    shipper::{Ended, Settings, Shipper, StartError},
    sink::{BatchSettings, HttpSettings, SinkKind, SinkSettings},
    source::{SourceSettings, glob::Patterns},
    spool::{Limits, WhenFull},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// How long a test waits for what must happen; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub counters: Arc<Counters>,
    pub settings: Settings,
    pub shipper: Option<Shipper>,
    pub stdout: Arc<Mutex<Vec<u8>>>,
    /// How often writing to stdout panics first.
    pub panics: usize,
}

impl Bench {
    pub fn new(pattern: &str, sinks: Vec<SinkSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        let pattern = format!("{}/logs/{pattern}", root.display());
        let settings = Settings {
            state_dir: root.join("state"),
            limits: Limits {
                memory: 1 << 20,
                disk: 8 << 20,
                when_full: WhenFull::Block,
            },
            sources: vec![source(&pattern)],
            sinks,
        };
        Self {
            folder,
            counters: Arc::default(),
            settings,
            shipper: None,
            stdout: Arc::default(),
            panics: 0,
        }
    }

    pub fn try_start(&mut self) -> Result<(), StartError> {
        let lines = Arc::clone(&self.stdout);
        let panics = std::sync::atomic::AtomicUsize::new(self.panics);
        let stdout = Arc::new(
            move |text: Vec<u8>, done: tokio::sync::oneshot::Sender<std::io::Result<()>>| {
                let left = panics.load(std::sync::atomic::Ordering::SeqCst);
                if left > 0 {
                    panics.store(left - 1, std::sync::atomic::Ordering::SeqCst);
                    panic!("a panic on purpose");
                }
                lines.lock().unwrap().extend(text);
                let _ = done.send(Ok(()));
            },
        );
        let shipper = Shipper::start(self.settings.clone(), Arc::clone(&self.counters), stdout)?;
        self.shipper = Some(shipper);
        Ok(())
    }

    pub fn start(&mut self) {
        self.try_start().unwrap();
    }

    pub async fn stop(&mut self, limit: Duration) -> Ended {
        self.shipper.take().unwrap().stop(limit).await.unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .canonicalize()
            .unwrap()
            .join("logs")
            .join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The messages of a file sink.
    pub fn shipped(&self, path: &std::path::Path) -> Vec<String> {
        messages(&fs::read_to_string(path).unwrap_or_default())
    }
}

pub fn messages(lines: &str) -> Vec<String> {
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    lines
        .lines()
        .map(|line| parse(line)["message"].as_str().unwrap().to_owned())
        .collect()
}

pub fn source(pattern: &str) -> SourceSettings {
    SourceSettings {
        name: "app".into(),
        patterns: Patterns::new(&[pattern.to_owned()], &[], &[]).unwrap(),
        start_at_end: false,
        assembler: AssemblerSettings {
            max_line: 256 << 10,
            cri: false,
            multiline: None,
        },
        parser: Parser {
            format: Format::Text,
            mapping: Mapping::default(),
            timestamps: Timestamps::default(),
            redact: Redact::default(),
            filter: Filter::default(),
            labels: Labels::new(&BTreeMap::new()),
        },
    }
}

pub fn sink(name: &str, kind: SinkKind) -> SinkSettings {
    SinkSettings {
        name: name.to_owned(),
        kind,
        batch: BatchSettings {
            bytes: 64 << 10,
            records: 1000,
            age: Duration::from_millis(20),
        },
    }
}

pub fn file(name: &str, path: PathBuf) -> SinkSettings {
    let kind = SinkKind::File {
        path,
        max_bytes: 1 << 40,
        keep: 1,
    };
    sink(name, kind)
}

pub fn http(server: &Server) -> HttpSettings {
    HttpSettings {
        url: format!("http://{}", server.address).parse().unwrap(),
        tls: None,
        credentials: None,
        api_key: None,
        timeout: Duration::from_secs(2),
        gzip: true,
    }
}

pub fn numbered(range: std::ops::Range<usize>) -> String {
    range
        .map(|n| format!("{n} is the number of this line\n"))
        .collect()
}

pub fn number(message: &str) -> usize {
    message.split(' ').next().unwrap().parse().unwrap()
}

/// Waits until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let look = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, look).await;
    assert!(waited.is_ok(), "waited in vain: {what}");
}

/// A request as it came, its body unpacked.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

type Answerer = dyn Fn(&Got) -> Answer + Send + Sync;

/// What the server answers.
pub enum Answer {
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes the connection.
    Reset,
    /// Never.
    Hang,
}

pub struct Server {
    pub address: SocketAddr,
    /// What comes before what the server says by itself.
    pub next: Arc<Mutex<VecDeque<Answer>>>,
    pub got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// A server that answers with what is queued in `next`, then with `answer`.
    pub async fn start(answer: impl Fn(&Got) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let next = Arc::<Mutex<VecDeque<Answer>>>::default();
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let answer: Arc<Answerer> = Arc::new(answer);
        tokio::spawn(serve(listener, Arc::clone(&next), Arc::clone(&got), answer));
        Self { address, next, got }
    }

    pub fn say(&self, answers: impl IntoIterator<Item = Answer>) {
        self.next.lock().unwrap().extend(answers);
    }

    pub fn requests(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

async fn serve(
    listener: TcpListener,
    next: Arc<Mutex<VecDeque<Answer>>>,
    got: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Answerer>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (next, got, answer) = (Arc::clone(&next), Arc::clone(&got), Arc::clone(&answer));
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (next, got, answer) =
                    (Arc::clone(&next), Arc::clone(&got), Arc::clone(&answer));
                async move {
                    let request = read(request).await;
                    got.lock().unwrap().push(request.clone());
                    let queued = next.lock().unwrap().pop_front();
                    match queued.unwrap_or_else(|| answer(&request)) {
                        Answer::Status(status, headers, body) => {
                            let mut response = Response::builder().status(status);
                            for (name, value) in headers {
                                response = response.header(name, value);
                            }
                            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
                        }
                        Answer::Reset => Err("reset"),
                        Answer::Hang => std::future::pending::<Result<_, &str>>().await,
                    }
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn read(request: Request<Incoming>) -> Got {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = match head.headers.get("content-encoding") {
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..])
                .read_to_end(&mut plain)
                .unwrap();
            plain
        }
        None => body.to_vec(),
    };
    Got {
        path: head.uri.to_string(),
        headers: head.headers,
        body,
    }
}

pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer::Status(200, Vec::new(), body.into())
}

pub fn status(status: u16) -> Answer {
    Answer::Status(status, Vec::new(), Vec::new())
}
