//! TLS for callers that report failures themselves, such as the HTTP client: it keeps no sessions
//! and has no observer.

use std::{io, sync::Arc};

use outrigger_config::model::ClientTls;
use rustls::{ClientConfig, client::Resumption};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    HTTP1, HTTP2, SystemRoots, TrustError, name, trust,
    verify::{Names, Verifier},
};

/// Performs handshakes for HTTP/1.1 with servers that these settings trust.
#[derive(Clone)]
pub struct Handshaker {
    config: TlsConnector,
    hostname: Option<Arc<str>>,
}

impl Handshaker {
    /// Trusts what the accepted configuration says. Without `ca_certificates` it trusts the
    /// system's roots, which are read now: `SSL_CERT_FILE` and `SSL_CERT_DIR` name them, otherwise
    /// the usual paths are searched. Therefore not for workers.
    ///
    /// # Errors
    /// There is no trusted root, or the client certificate cannot be used.
    pub fn build(model: &ClientTls) -> Result<Self, TrustError> {
        Self::with_protocols(model, vec![HTTP1.to_vec()])
    }

    /// The same with `h2` in ALPN.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn http2(model: &ClientTls) -> Result<Self, TrustError> {
        Self::with_protocols(model, vec![HTTP2.to_vec()])
    }

    /// The same without ALPN, for protocols other than HTTP.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn other(model: &ClientTls) -> Result<Self, TrustError> {
        Self::with_protocols(model, Vec::new())
    }

    fn with_protocols(model: &ClientTls, protocols: Vec<Vec<u8>>) -> Result<Self, TrustError> {
        let anchors = trust::anchors(model, &mut SystemRoots::default())?;
        let names = Names::new(&model.subject_alt_names);
        let verifier = Arc::new(Verifier::new(anchors, names, None));
        let mut config: ClientConfig = trust::config(model, verifier)?;
        config.alpn_protocols = protocols;
        // Rare requests gain nothing from resumption, and frequent ones reuse their connection.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: TlsConnector::from(Arc::new(config)),
            hostname: model.hostname.clone(),
        })
    }

    /// Performs a handshake with the server of this host, or of the `hostname` of the settings.
    ///
    /// # Errors
    /// The handshake failed; an error of the TLS library is a `rustls::Error` inside.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let host = self.hostname.as_deref().unwrap_or(host);
        let name = name::server_name(host).map_err(io::Error::other)?;
        self.config.connect(name, stream).await
    }
}
