//! Builds the TLS library's settings from the accepted configuration: trusted roots and the client
//! certificate.

use std::{io, sync::Arc};

use outrigger_config::model::ClientTls;
use rustls::{ClientConfig, RootCertStore};

use super::verify::Verifier;
use crate::tls::{anchors::Anchors, message, provider};

/// Why TLS settings cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A configured certificate cannot be used as a CA.
    #[error("a certificate of caFiles cannot be used{}", message::suffix(.0))]
    Certificate(rustls::Error),
    /// The system has no roots; names the paths that were searched.
    #[error("the system has no CA certificates (SSL_CERT_FILE names a file of them): {0}")]
    NoRoots(String),
    /// No version or cipher suite is left, or the client certificate cannot be used.
    #[error("TLS cannot be set up{}", message::suffix(.0))]
    Setup(rustls::Error),
}

impl From<TrustError> for io::Error {
    fn from(error: TrustError) -> Self {
        Self::other(error)
    }
}

/// All usable roots of the system; some systems have unusable ones.
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

/// The system's roots: read on first use, then shared.
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

/// The roots that servers' certificates are verified against.
pub(super) fn anchors(model: &ClientTls, system: &mut SystemRoots) -> Result<Anchors, TrustError> {
    match model.ca_certificates.is_empty() {
        true => Ok(system.get()?.into()),
        false => Anchors::new(&model.ca_certificates).map_err(TrustError::Certificate),
    }
}

/// The settings of handshakes, without ALPN and sessions.
pub(super) fn config(
    model: &ClientTls,
    verifier: Arc<Verifier>,
) -> Result<ClientConfig, TrustError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Setup)?
        .dangerous() // the library's name for verifiers of its users
        .with_custom_certificate_verifier(verifier);
    match &model.certificate {
        Some(own) => builder
            .with_client_auth_cert(own.chain.clone(), own.key.der().clone_key())
            .map_err(TrustError::Setup),
        None => Ok(builder.with_no_client_auth()),
    }
}
