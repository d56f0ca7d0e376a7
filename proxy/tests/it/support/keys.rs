//! A key server with configurable responses.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs};

use super::{cast::Cast, pki::Leaf};

/// What happens to a request.
#[derive(Clone)]
pub enum Reply {
    /// These bytes, then the connection closes.
    Bytes(Vec<u8>),
    /// 200 with this JSON.
    Json(String),
    /// Nothing, while the peer waits.
    Silence,
    /// A byte now and then, without an end.
    Drip,
    /// 200 with a body that never ends.
    Endless,
    /// The connection closes without an answer.
    Close,
}

/// A redirect.
pub fn redirect(location: &str) -> Reply {
    let text = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    Reply::Bytes(text.into_bytes())
}

/// An answer with this status and body.
pub fn answer(status: u16, kind: &str, body: &str) -> Reply {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Reply::Bytes((head + body).into_bytes())
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// The server; a panic of its script fails the test.
#[derive(Clone)]
pub struct KeyServer {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Script>>,
    encrypted: bool,
    ended: Arc<AtomicBool>,
    /// None where the server's own threads have it, which end with the others.
    cast: Option<Arc<Cast>>,
}

impl KeyServer {
    /// Answers every request with this set, over plain HTTP.
    pub fn plain(set: String) -> Self {
        Self::on(0, None, move |_| Reply::Json(set.clone()))
    }

    /// Answers by the target, over plain HTTP.
    pub fn answering(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(0, None, script)
    }

    /// The same over TLS.
    pub fn secure(leaf: &Leaf, script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(0, Some(leaf), script)
    }

    /// On a port that is known before.
    pub fn on(
        port: u16,
        leaf: Option<&Leaf>,
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let tls = leaf.map(|leaf| {
            let config =
                ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(leaf.chain(), leaf.key());
            Arc::new(config.unwrap())
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            script: Arc::new(Mutex::new(Arc::new(script))),
            encrypted: tls.is_some(),
            ended: Arc::default(),
            cast: Some(Arc::default()),
        };
        let stage = server.cast.as_ref().unwrap().stage();
        let this = Self {
            cast: None,
            ..server.clone()
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if this.ended.load(Ordering::SeqCst) {
                    return; // the listener goes with it
                }
                let (this, tls) = (this.clone(), tls.clone());
                stage.spawn(move || match tls {
                    Some(tls) => this.serve(StreamOwned::new(
                        ServerConnection::new(tls).unwrap(),
                        stream,
                    )),
                    None => this.serve(stream),
                });
            }
        });
        server
    }

    /// From now on.
    pub fn answer_with(&self, script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// From now on this set, whatever is asked for.
    pub fn publish(&self, set: String) {
        self.answer_with(move |_| Reply::Json(set.clone()));
    }

    /// Closes the listener.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes it
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    /// Their heads, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// A URL there; `localhost` is what certificates are for.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head) {
                Ok(0) | Err(_) => return, // a handshake that failed, too
                Ok(_) => {}
            }
        }
        self.heads.lock().unwrap().push(head.to_ascii_lowercase());
        let script = Arc::clone(&self.script.lock().unwrap());
        reply(
            stream.get_mut(),
            script(head.split(' ').nth(1).unwrap_or_default()),
        );
    }
}

fn reply(stream: &mut (impl Read + Write), reply: Reply) {
    match reply {
        Reply::Json(text) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                text.len()
            );
            let _ = stream.write_all((head + &text).as_bytes());
        }
        Reply::Bytes(bytes) => drop(stream.write_all(&bytes)),
        Reply::Close => {}
        Reply::Silence => drop(stream.read(&mut [0])), // until the peer gives up
        Reply::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
            while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Reply::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"keys\":[");
            while stream.write_all(&[b' '; 64 * 1024]).is_ok() {}
        }
    }
    let _ = stream.flush();
}
