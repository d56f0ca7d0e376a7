//! TLS in front of an origin: it shakes hands as a test wants, notes what it saw, and hands bytes on.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UnixListener},
};
use tokio_rustls::TlsAcceptor;

use super::pki::{Ca, Leaf};

/// What was seen of one connection.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub server_name: Option<String>,
    pub alpn: Option<String>,
    pub resumed: bool,
    pub client: Option<CertificateDer<'static>>,
    /// Whether the proxy said that nothing follows, before it closed.
    pub ended_well: Option<bool>,
}

/// How it shakes hands.
pub struct Maker<'a> {
    leaf: &'a Leaf,
    clients: Option<&'a Ca>,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<&'static str>,
}

impl<'a> Maker<'a> {
    pub fn new(leaf: &'a Leaf) -> Self {
        let versions = vec![&rustls::version::TLS13, &rustls::version::TLS12];
        Self {
            leaf,
            clients: None,
            versions,
            alpn: vec!["h2", "http/1.1"],
        }
    }

    /// Only clients that this authority has signed.
    pub fn clients(mut self, ca: &'a Ca) -> Self {
        self.clients = Some(ca);
        self
    }

    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    pub fn alpn(mut self, protocols: &[&'static str]) -> Self {
        self.alpn = protocols.to_vec();
        self
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.clients {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.der()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(self.leaf.chain(), self.leaf.key())
            .unwrap();
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        Arc::new(config)
    }

    /// In front of what listens there.
    pub fn before(&self, origin: SocketAddr) -> Front {
        Front::start(self.config(), origin)
    }
}

/// A running one.
pub struct Front {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    refused: Arc<AtomicUsize>,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Front {
    fn start(config: Arc<ServerConfig>, origin: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            refused: Arc::default(),
            config: Arc::new(Mutex::new(config)),
        };
        let (seen, refused) = (Arc::clone(&front.seen), Arc::clone(&front.refused));
        let config = Arc::clone(&front.config);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let acceptor = TlsAcceptor::from(Arc::clone(&config.lock().unwrap()));
                    let (seen, refused) = (Arc::clone(&seen), Arc::clone(&refused));
                    tokio::spawn(async move {
                        if serve(socket, acceptor, origin, &seen).await.is_err() {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            });
        });
        front
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// New connections are shaken hands with in this way.
    pub fn set(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap() = config;
    }

    /// Connections whose handshake worked, in their order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Handshakes that did not work.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

async fn serve(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    origin: SocketAddr,
    seen: &Mutex<Vec<Seen>>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let stream = acceptor.accept(socket).await?;
    let session = stream.get_ref().1;
    let one = Seen {
        server_name: session.server_name().map(str::to_owned),
        alpn: session
            .alpn_protocol()
            .map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        client: session
            .peer_certificates()
            .and_then(|chain| chain.first().cloned()),
        ended_well: None,
    };
    let index = {
        let mut all = seen.lock().unwrap();
        all.push(one);
        all.len() - 1
    };
    let plain = TcpStream::connect(origin).await?;
    plain.set_nodelay(true)?;
    let ((mut from, mut to), (mut from_origin, mut to_origin)) = (split(stream), split(plain));
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) => break seen.lock().unwrap()[index].ended_well = Some(true),
                Ok(read) if to_origin.write_all(&buffer[..read]).await.is_ok() => {}
                Ok(_) => break,
                Err(_) => break seen.lock().unwrap()[index].ended_well = Some(false),
            }
        }
        let _ = to_origin.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_origin.read(&mut buffer).await {
            if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(up, down);
    Ok(())
}

/// Serves HTTP/2 with prior knowledge for as long as the process lives; where it listens.
pub fn serve_http2<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    in_background(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_http2(socket, answer.clone()));
        }
    });
    address
}

/// The same on a Unix socket.
pub fn serve_http2_at<F, A>(path: &Path, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
{
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    in_background(async move {
        let listener = UnixListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_http2(socket, answer.clone()));
        }
    });
}

fn in_background(serving: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(serving);
    });
}

async fn answer_http2<F, A>(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let _ = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(socket), service)
        .await;
}
