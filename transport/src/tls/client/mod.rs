//! TLS as a client: to endpoints of upstreams and to servers of key sets. A server is always
//! verified; there is no option to skip that.
//!
//! Reading files and other slow work is done on the control thread, when a configuration is built:
//! a [`Connector`] has everything that a handshake on a worker needs. There is no 0-RTT.

mod failure;
mod handshaker;
mod name;
mod observer;
mod sessions;
mod stream;
mod trust;
mod verify;

use std::{io, sync::Arc};

use outrigger_config::model::ClientTls;
use rustls::{HandshakeKind, client::Resumption};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::{
    failure::{ServerFailure, TlsFailed},
    handshaker::Handshaker,
    observer::{FailedHandshake, Observer},
    stream::Encrypted,
    trust::{SystemRoots, TrustError},
};
use self::{
    sessions::Sessions,
    stream::Wire,
    verify::{Names, Verifier},
};

/// HTTP versions in ALPN (RFC 7301 section 6, RFC 9113 section 3.2).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The application protocol inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppProtocol {
    /// HTTP/1.1; the server need not support ALPN.
    Http1,
    /// HTTP/2; both sides must select it in ALPN.
    Http2,
    /// HTTP/1.1 or HTTP/2, as the server selects; a server without ALPN gets HTTP/1.1.
    Either,
    /// Not HTTP: no ALPN.
    Other,
}

/// TLS settings, trust and sessions for the endpoints of one upstream.
pub struct Connector {
    upstream: Arc<str>,
    config: TlsConnector,
    verifier: Arc<Verifier>,
    sessions: Arc<Sessions>,
    hostname: Option<Arc<str>>,
    observer: Arc<dyn Observer>,
}

/// An established TLS connection.
pub struct TlsConnection {
    /// The encrypted stream.
    pub stream: Encrypted,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether ALPN selected HTTP/2.
    pub http2: bool,
}

impl Connector {
    /// Builds a connector from the accepted configuration. It starts without sessions, so that a
    /// change of trust takes effect at once.
    ///
    /// # Errors
    /// There is no trusted root, or the client certificate cannot be used.
    pub fn build(
        upstream: &Arc<str>,
        model: &ClientTls,
        system: &mut SystemRoots,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, TrustError> {
        let anchors = trust::anchors(model, system)?;
        let names = Names::new(&model.subject_alt_names);
        let verifier = Arc::new(Verifier::new(
            anchors,
            names,
            Some((Arc::clone(upstream), Arc::clone(observer))),
        ));
        let mut config = trust::config(model, Arc::clone(&verifier))?;
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

    /// Performs a handshake with the endpoint of this authority (host and port).
    ///
    /// # Errors
    /// A [`TlsFailed`] inside; it is reported to the observer already.
    pub async fn handshake(
        self: &Arc<Self>,
        stream: TcpStream,
        authority: &str,
        app_protocol: AppProtocol,
    ) -> io::Result<TlsConnection> {
        let name = self
            .server_name(authority)
            .map_err(|error| self.fail(authority, error))?;
        let protocols: &[&[u8]] = match app_protocol {
            AppProtocol::Http1 => &[HTTP1],
            AppProtocol::Http2 => &[HTTP2],
            AppProtocol::Either => &[HTTP1, HTTP2],
            AppProtocol::Other => &[],
        };
        let protocols = protocols.iter().map(|one| one.to_vec()).collect();
        let handshaking = self
            .config
            .with_alpn(protocols)
            .connect(name.clone(), Wire::new(stream));
        let stream = handshaking
            .await
            .map_err(|error| self.fail(authority, failure::of_io(error)))?;
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if resumed {
            // A full handshake verifies the chain; a resumed one does not, so it is verified here.
            let chain = session.peer_certificates().unwrap_or_default();
            if let Err(error) = self.verifier.verify_again(chain, &name) {
                self.sessions.forget();
                return Err(self.fail(authority, failure::of(error)));
            }
        }
        let http2 = session.alpn_protocol() == Some(HTTP2);
        if app_protocol == AppProtocol::Http2 && !http2 {
            let error = rustls::Error::NoApplicationProtocol;
            return Err(self.fail(authority, failure::of(error)));
        }
        Ok(TlsConnection {
            stream: Encrypted::new(stream, Arc::clone(self), authority),
            resumed,
            http2,
        })
    }

    /// Reports that connectTimeout elapsed during the handshake.
    pub fn timed_out(&self, authority: &str) -> io::Error {
        self.fail(authority, TlsFailed::new(ServerFailure::Timeout, None))
    }

    fn server_name(&self, authority: &str) -> Result<ServerName<'static>, TlsFailed> {
        let host = self
            .hostname
            .as_deref()
            .unwrap_or_else(|| name::host_of(authority));
        let name = name::server_name(host);
        name.map_err(|_| TlsFailed::new(ServerFailure::WrongName, None))
    }

    fn fail(&self, authority: &str, failed: TlsFailed) -> io::Error {
        // The verifier has reported its own rejections, together with the certificate.
        if !failed.is_reported() {
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
