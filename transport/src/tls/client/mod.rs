//! TLS towards servers: endpoints of upstreams, and those that keys are fetched from. A server is always verified;
//! there is no way around it.
//!
//! Whatever reads files or costs time is done on the control thread, when a configuration is built: a [`Connector`] has
//! everything that a handshake on a worker needs. There is no 0-RTT.

mod failure;
mod observer;
mod sessions;
mod stream;
mod verify;

use std::{io, sync::Arc};

use outrigger_config::model::ClientTls;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::{
    failure::{ServerFailure, TlsFailed},
    observer::{FailedHandshake, Observer},
    stream::Encrypted,
};
use self::{
    sessions::Sessions,
    stream::Wire,
    verify::{Names, Verifier},
};
use super::{anchors::Anchors, words};

/// Why no server could be believed, or nothing could be shown to it.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A certificate among the configured ones cannot be one of a CA.
    #[error("a certificate of caFiles cannot be used{}", words::behind(.0))]
    Certificate(rustls::Error),
    /// The system has no roots; says where they were looked for.
    #[error("the system has no CA certificates (SSL_CERT_FILE names a file of them): {0}")]
    NoRoots(String),
    /// No version or suite is left, or the certificate cannot be shown.
    #[error("TLS cannot be set up{}", words::behind(.0))]
    Setup(rustls::Error),
}

impl From<TrustError> for io::Error {
    fn from(error: TrustError) -> Self {
        Self::other(error)
    }
}

/// Believes what these certificates sign; without any, what the system's roots sign (`SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name them, else the usual places are looked at). Reads files, so never on a worker.
///
/// # Errors
/// Nobody could be believed.
pub fn trusting(certificates: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, TrustError> {
    let anchors = match certificates.is_empty() {
        true => Arc::new(system_roots()?).into(),
        false => Anchors::new(certificates).map_err(TrustError::Certificate)?,
    };
    let verifier = Verifier::new(anchors, Names::new(&[]), None);
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Setup)?
        .dangerous() // as the library calls a verifier that it has not written
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A fetch every few minutes gains nothing from an earlier session.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Every root that can be used; systems carry some that cannot.
fn system_roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TrustError::NoRoots(errors.join("; ")));
    }
    Ok(store)
}

/// The system's roots, read when somebody first needs them, and then shared.
#[derive(Default)]
pub struct SystemRoots(Option<Arc<RootCertStore>>);

impl SystemRoots {
    fn get(&mut self) -> Result<Arc<RootCertStore>, TrustError> {
        if let Some(read) = &self.0 {
            return Ok(Arc::clone(read));
        }
        Ok(Arc::clone(self.0.insert(Arc::new(system_roots()?))))
    }
}

/// What HTTP is called in ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1; a server that does not know ALPN is fine.
    Http1,
    /// HTTP/2, which both must have said.
    Http2,
    /// HTTP/1.1 or HTTP/2, as the server chooses; one that does not know ALPN speaks HTTP/1.1.
    Either,
    /// No HTTP: nothing is said of it.
    Other,
}

/// How TLS is spoken to the endpoints of one upstream, and with whom.
pub struct Connector {
    upstream: Arc<str>,
    config: TlsConnector,
    verifier: Arc<Verifier>,
    sessions: Arc<Sessions>,
    hostname: Option<Arc<str>>,
    observer: Arc<dyn Observer>,
}

/// An open connection.
pub struct Shaken {
    /// Where bytes go.
    pub stream: Encrypted,
    /// Whether it went on from an earlier session.
    pub resumed: bool,
    /// Whether HTTP/2 was agreed on.
    pub http2: bool,
}

impl Connector {
    /// What the accepted configuration says. Sessions begin anew with it, so that a change of trust is one.
    ///
    /// # Errors
    /// Nobody could be believed, or the certificate cannot be shown.
    pub fn build(
        upstream: &Arc<str>,
        model: &ClientTls,
        system: &mut SystemRoots,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, TrustError> {
        let anchors = match model.ca_certificates.is_empty() {
            true => system.get()?.into(),
            false => Anchors::new(&model.ca_certificates).map_err(TrustError::Certificate)?,
        };
        let names = Names::new(&model.subject_alt_names);
        let verifier = Arc::new(Verifier::new(
            anchors,
            names,
            Some((Arc::clone(upstream), Arc::clone(observer))),
        ));
        let builder = ClientConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Setup)?
            .dangerous() // as the library calls a verifier that it has not written
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        let mut config = match &model.certificate {
            Some(own) => builder
                .with_client_auth_cert(own.chain.clone(), own.key.der().clone_key())
                .map_err(TrustError::Setup)?,
            None => builder.with_no_client_auth(),
        };
        let sessions = Arc::<Sessions>::default();
        config.resumption = Resumption::store(Arc::clone(&sessions) as _);
        Ok(Self {
            upstream: Arc::clone(upstream),
            config: TlsConnector::from(Arc::new(config)),
            verifier,
            sessions,
            hostname: model.hostname.clone(),
            observer: Arc::clone(observer),
        })
    }

    /// Shakes hands with the endpoint that has this authority (host and port).
    ///
    /// # Errors
    /// A [`TlsFailed`] inside; it was told already.
    pub async fn shake_hands(
        self: &Arc<Self>,
        stream: TcpStream,
        authority: &str,
        spoken: Spoken,
    ) -> io::Result<Shaken> {
        let name = self
            .server_name(authority)
            .map_err(|error| self.fail(authority, error))?;
        let protocols: &[&[u8]] = match spoken {
            Spoken::Http1 => &[HTTP1],
            Spoken::Http2 => &[HTTP2],
            Spoken::Either => &[HTTP1, HTTP2],
            Spoken::Other => &[],
        };
        let protocols = protocols.iter().map(|one| one.to_vec()).collect();
        let shaking = self
            .config
            .with_alpn(protocols)
            .connect(name.clone(), Wire::new(stream));
        let stream = shaking
            .await
            .map_err(|error| self.fail(authority, failure::of_io(error)))?;
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if resumed {
            // The library looks at the certificates of a full handshake only.
            let chain = session.peer_certificates().unwrap_or_default();
            if let Err(error) = self.verifier.verify_again(chain, &name) {
                self.sessions.forget();
                return Err(self.fail(authority, failure::of(error)));
            }
        }
        let http2 = session.alpn_protocol() == Some(HTTP2);
        if spoken == Spoken::Http2 && !http2 {
            let error = rustls::Error::NoApplicationProtocol;
            return Err(self.fail(authority, failure::of(error)));
        }
        Ok(Shaken {
            stream: Encrypted::new(stream, Arc::clone(self), authority),
            resumed,
            http2,
        })
    }

    /// Tells that connectTimeout was over in the middle of it.
    pub fn timed_out(&self, authority: &str) -> io::Error {
        self.fail(authority, TlsFailed::new(ServerFailure::Timeout, None))
    }

    fn server_name(&self, authority: &str) -> Result<ServerName<'static>, TlsFailed> {
        let host = self
            .hostname
            .as_deref()
            .unwrap_or_else(|| host_of(authority));
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        // A root's dot is no part of a name in a certificate (RFC 6066 section 3).
        let plain = plain.strip_suffix('.').unwrap_or(plain);
        let name = ServerName::try_from(plain.to_owned());
        name.map_err(|_| TlsFailed::new(ServerFailure::WrongName, None))
    }

    fn fail(&self, authority: &str, failed: TlsFailed) -> io::Error {
        // What the verifier refused it has told itself, with the certificate.
        if !failed.is_told() {
            self.observer.failed(FailedHandshake {
                upstream: Arc::clone(&self.upstream),
                server: authority.into(),
                failure: failed.failure,
                error: failed.error.clone(),
                certificate: None,
            });
        }
        io::Error::other(failed)
    }
}

/// The host of an authority.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_is_without_port() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("10.0.0.1:8443", "10.0.0.1"),
            ("[fd00::7]", "[fd00::7]"),
            ("[fd00::7]:8443", "[fd00::7]"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }
}
