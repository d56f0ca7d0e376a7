//! TLS towards servers: endpoints of upstreams, and those that keys are fetched from. A server is always verified;
//! there is no way around it.
//!
//! Whatever reads files or costs time is done on the control thread, when a configuration is built: a [`Connector`] has
//! everything that a handshake on a worker needs. There is no 0-RTT.

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
            .unwrap_or_else(|| name::host_of(authority));
        let name = name::server_name(host);
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
