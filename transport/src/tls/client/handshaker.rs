//! TLS for callers that report failures themselves, such as the HTTP client: no session is kept and nothing is observed.

use std::{io, sync::Arc};

use outrigger_config::model::ClientTls;
use rustls::{ClientConfig, client::Resumption};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    HTTP1, SystemRoots, TrustError, name, trust,
    verify::{Names, Verifier},
};

/// Speaks TLS and HTTP/1.1 inside, to servers that these settings trust.
#[derive(Clone)]
pub struct Handshaker {
    config: TlsConnector,
    hostname: Option<Arc<str>>,
}

impl Handshaker {
    /// Trusts what the accepted configuration says. Without `ca_certificates` those are the system's roots, which are read
    /// now: `SSL_CERT_FILE` and `SSL_CERT_DIR` name them, else the usual places are looked at. So never on a worker.
    ///
    /// # Errors
    /// No server could be trusted, or the certificate cannot be shown.
    pub fn build(model: &ClientTls) -> Result<Self, TrustError> {
        let anchors = trust::anchors(model, &mut SystemRoots::default())?;
        let names = Names::new(&model.subject_alt_names);
        let verifier = Arc::new(Verifier::new(anchors, names, None));
        let mut config: ClientConfig = trust::config(model, verifier)?;
        config.alpn_protocols = vec![HTTP1.to_vec()];
        // A request every few minutes gains nothing from an earlier session, and frequent ones reuse their connection.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: TlsConnector::from(Arc::new(config)),
            hostname: model.hostname.clone(),
        })
    }

    /// Shakes hands with the server of this host, or of the `hostname` of the settings.
    ///
    /// # Errors
    /// What failed; what the TLS library says is a `rustls::Error` inside.
    pub async fn shake_hands(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let host = self.hostname.as_deref().unwrap_or(host);
        let name = name::server_name(host).map_err(io::Error::other)?;
        self.config.connect(name, stream).await
    }
}
