//! A third-party TLS client: rustls over a blocking socket, with all settings controlled by the
//! test.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{
    PATIENCE,
    pki::{Ca, Leaf},
    wire,
};

/// How a client connects.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: String,
}

/// What a client is made of.
pub struct Maker<'a> {
    roots: Vec<&'a Ca>,
    leaf: Option<&'a Leaf>,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    name: String,
}

impl<'a> Maker<'a> {
    /// A client that trusts servers of this authority, sends no certificate, and requests
    /// `localhost` with HTTP/1.1.
    pub fn new(ca: &'a Ca) -> Self {
        let versions = vec![&rustls::version::TLS13, &rustls::version::TLS12];
        Self {
            roots: vec![ca],
            leaf: None,
            versions,
            alpn: vec![b"http/1.1".to_vec()],
            name: "localhost".to_owned(),
        }
    }

    pub fn showing(mut self, leaf: &'a Leaf) -> Self {
        self.leaf = Some(leaf);
        self
    }

    pub fn believing(mut self, ca: &'a Ca) -> Self {
        self.roots.push(ca);
        self
    }

    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        self
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn done(self) -> Client {
        let mut roots = RootCertStore::empty();
        for ca in &self.roots {
            roots.add(ca.der()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.leaf {
            Some(leaf) => config
                .with_client_auth_cert(leaf.chain(), leaf.key())
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.resumption = Resumption::in_memory_sessions(32);
        Client {
            config: Arc::new(config),
            name: self.name,
        }
    }
}

impl Client {
    /// A client without a certificate.
    pub fn new(ca: &Ca) -> Self {
        Maker::new(ca).done()
    }

    pub fn mutual(ca: &Ca, leaf: &Leaf) -> Self {
        Maker::new(ca).showing(leaf).done()
    }

    /// The same client, with the sessions it has, asking for another server.
    pub fn named(&self, name: &str) -> Self {
        Self {
            config: Arc::clone(&self.config),
            name: name.to_owned(),
        }
    }

    /// The same client, with the sessions it has, after its certificate was renewed.
    pub fn showing_instead(&self, leaf: &Leaf) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(leaf.key()).unwrap();
        let certified = Arc::new(CertifiedKey::new(leaf.chain(), key));
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        Self {
            config: Arc::new(config),
            name: self.name.clone(),
        }
    }

    fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.name.clone()).unwrap()
    }

    /// Shakes hands. With TLS 1.3 a server that refuses the client's certificate says so only later.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Secure> {
        self.over(TcpStream::connect(address)?)
    }

    /// The same over a connection that exists.
    pub fn over(&self, mut socket: TcpStream) -> io::Result<Secure> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let mut session =
            ClientConnection::new(Arc::clone(&self.config), self.server_name()).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Secure(BufReader::new(StreamOwned::new(session, socket))))
    }

    /// Connects, asks and closes.
    pub fn get(&self, address: SocketAddr, path: &str) -> io::Result<Answer> {
        self.connect(address)?.get(path)
    }

    /// The same, for tokio.
    pub async fn stream(
        &self,
        address: SocketAddr,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let socket = tokio::net::TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(self.server_name(), socket)
            .await
    }
}

/// A connection.
pub struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.head, name)
    }
}

impl Secure {
    pub fn session(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }

    pub fn is_resumed(&self) -> bool {
        self.session().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())?;
        self.0.get_mut().flush()
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
        self.answer()
    }

    /// A head and, by its Content-Length, a body.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head()?;
        let length =
            wire::header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer {
            status: wire::status(&head),
            head,
            body,
        })
    }

    pub fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(head)
    }

    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Everything to the end; an error unless the peer said that this was all.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        &self.0.get_ref().sock
    }
}

/// The alert in an error of rustls, or what else it says.
pub fn alert(error: &io::Error) -> String {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::AlertReceived(alert)) => format!("{alert:?}"),
        Some(other) => other.to_string(),
        None => format!("{:?}", error.kind()),
    }
}
