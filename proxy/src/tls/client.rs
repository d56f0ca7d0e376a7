//! TLS towards servers: whose certificates are believed.
//!
//! Only for the control thread, which fetches keys. A server is always verified, by its name; there is no way
//! around it.

use std::{io, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

/// Why no server could be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// A certificate among the configured ones cannot be one of a CA.
    #[error("a certificate of caFiles cannot be used: {0}")]
    Certificate(rustls::Error),
    /// The system has no roots; says where they were looked for.
    #[error("the system has no CA certificates (SSL_CERT_FILE names a file of them): {0}")]
    NoRoots(String),
    /// No version or suite is left.
    #[error("TLS cannot be set up: {0}")]
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
pub(crate) fn trusting(certificates: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, TrustError> {
    let roots = if certificates.is_empty() { system_roots()? } else { roots(certificates)? };
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A fetch every few minutes gains nothing from an earlier session.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TrustError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate.clone()).map_err(TrustError::Certificate)?;
    }
    Ok(store)
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
