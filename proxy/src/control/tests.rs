//! Behaviour after internal errors, such as panics.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::Ordering::Relaxed,
    thread,
};

use super::*;
use crate::{connection::listener::ListenerShared, serve::Command};

/// A worker as the proxy starts it, with a direct response on one route and a panic on another.
struct Bench {
    address: SocketAddr,
    shared: Arc<ListenerShared>,
    metrics: Arc<Metrics>,
    worker: Handle,
}

impl Bench {
    fn start() -> Self {
        let text = "app: { port: 1 }\nroutes: [{ name: hello, directResponse: { status: 200, body: hello } }]\n";
        let loaded = outrigger_config::load_str("test", text, &ProcessEnvironment).unwrap();
        let (config, metrics) = (Arc::new(loaded.config), Arc::<Metrics>::default());
        count_panics(Arc::clone(&metrics));
        let (_, tls_events) = Reporter::new();
        let snapshot = Arc::new(build(&config, None, &metrics, &tls_events).unwrap());
        let parts = Parts {
            cell: Arc::new(ArcSwap::new(snapshot)),
            metrics: Arc::clone(&metrics),
            log: Writer::start(io::sink(), Arc::clone(&metrics)).unwrap(),
            tls_events,
        };
        let (worker, _) = serve::start(0, parts).unwrap();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let model = &config.listeners[0];
        let shared = ListenerShared::new(1, model, address, metrics.listener(&model.name), 100);
        let shared = Arc::new(shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(worker.send(Command::Listen(Arc::clone(&shared), socket)));
        Self {
            address,
            shared,
            metrics,
            worker,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    fn panics(&self) -> u64 {
        self.metrics.panics.load(Relaxed)
    }
}

fn get(stream: &mut TcpStream, path: &str) -> String {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// `docs/security.md` 24.
#[test]
fn a_panic_ends_one_connection_and_is_counted() {
    let bench = Bench::start();
    let mut other = bench.connect();
    assert!(get(&mut other, "/").ends_with("hello"));
    for turn in 1..=3 {
        let mut unlucky = bench.connect();
        assert!(get(&mut unlucky, "/").ends_with("hello"));
        assert_eq!(
            get(&mut unlucky, "/panic"),
            "",
            "the connection ends without an answer"
        );
        assert_eq!(bench.panics(), turn);
        assert!(get(&mut other, "/").ends_with("hello"), "the others go on");
        assert!(
            get(&mut bench.connect(), "/").ends_with("hello"),
            "and new ones come"
        );
    }
    // HTTP/2: all streams of that connection, and no others.
    let mut unlucky = bench.connect();
    let mut bytes =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    // HEADERS of stream 1: GET, http, a, /panic (RFC 7541 appendix A).
    bytes.extend_from_slice(b"\x00\x00\x0d\x01\x05\x00\x00\x00\x01\x82\x86\x01\x01a\x04\x06/panic");
    unlucky.write_all(&bytes).unwrap();
    let mut rest = Vec::new();
    let _ = unlucky.read_to_end(&mut rest);
    assert_eq!(bench.panics(), 4);
    assert!(get(&mut other, "/").ends_with("hello"));
    // All connections but one are gone from every count.
    for _ in 0..2000 {
        if bench.shared.open_connections() == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(bench.shared.open_connections(), 1);
    drop(bench.worker);
}
