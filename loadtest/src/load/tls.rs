//! TLS with the peer: version 1.3 only, the peer is always verified.
//!
//! The key exchange is X25519 (P-256 if the peer does not support it), so that every proxy has the
//! same work. Without [`TlsPlan::resume`] no session is stored. With it each place from which
//! connections are opened stores its own, so that no place loses its ticket to another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, FailureKind};
use super::traffic::Counted;

/// Tickets that a place stores.
const TICKETS: usize = 4;

/// TLS settings of a run.
#[derive(Debug, Clone)]
pub struct TlsPlan {
    /// CA certificates (PEM).
    pub ca: PathBuf,
    /// The server name (SNI) to send and verify. Default: the host of the URL.
    pub server_name: Option<String>,
    /// Certificate chain and key (PEM) of the client, for mTLS.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Resumes sessions, and treats a handshake that could have been resumed but was not as a
    /// failure.
    pub resume: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or a key cannot be used.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate in a file cannot be used.
    #[error("{}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// No name can be verified.
    #[error("{0:?} is not a valid certificate name")]
    Name(String),
    /// The library rejects the settings.
    #[error("TLS cannot be set up")]
    Settings(#[source] rustls::Error),
}

/// TLS settings of all connections of a run.
#[derive(Debug)]
pub(super) struct Tls {
    config: ClientConfig,
    name: ServerName<'static>,
    resume: bool,
}

/// TLS settings of the connections from one place.
pub(super) struct TlsPlace {
    connector: TlsConnector,
    name: ServerName<'static>,
    alpn: Vec<u8>,
    pub(super) resume: bool,
}

impl Tls {
    /// `alpn` is the one protocol to offer.
    pub(super) fn new(tls: &TlsPlan, alpn: &[u8], host: &str) -> Result<Self, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Settings)?
            .with_root_certificates(roots(&tls.ca)?);
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let failed = |source| TlsError::File {
                    path: key.clone(),
                    source,
                };
                let secret = PrivateKeyDer::from_pem_file(key).map_err(failed)?;
                builder
                    .with_client_auth_cert(chain(certificates)?, secret)
                    .map_err(|source| TlsError::Certificate {
                        path: certificates.clone(),
                        source,
                    })?
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        let host = tls.server_name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        Ok(Self {
            config,
            name,
            resume: tls.resume,
        })
    }

    pub(super) fn place(&self) -> TlsPlace {
        let mut config = self.config.clone();
        if self.resume {
            config.resumption = Resumption::in_memory_sessions(TICKETS);
        }
        TlsPlace {
            alpn: config.alpn_protocols.concat(),
            connector: TlsConnector::from(Arc::new(config)),
            name: self.name.clone(),
            resume: self.resume,
        }
    }
}

impl TlsPlace {
    /// The connection, and whether its session was resumed.
    pub(super) async fn handshake(
        &self,
        stream: Counted,
    ) -> Result<(TlsStream<Counted>, bool), Failure> {
        let stream = self
            .connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| {
                let failure = Failure::of(&error);
                Failure {
                    detail: format!("TLS handshake: {}", failure.detail),
                    ..failure
                }
            })?;
        let session = stream.get_ref().1;
        let agreed = session.alpn_protocol();
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        // A peer without ALPN uses HTTP/1.1.
        if agreed.unwrap_or(b"http/1.1") != self.alpn {
            let (agreed, wanted) = (
                agreed.map(String::from_utf8_lossy),
                String::from_utf8_lossy(&self.alpn),
            );
            let detail = format!("the peer agreed to {agreed:?} instead of {wanted:?} by ALPN");
            return Err(Failure::new(FailureKind::Tls, detail));
        }
        Ok((stream, resumed))
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    match chain.is_empty() {
        true => Err(failed(rustls::pki_types::pem::Error::NoItemsFound)),
        false => Ok(chain),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Certificate {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}
