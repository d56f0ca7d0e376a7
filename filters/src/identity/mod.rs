//! The client's identity, from its verified certificate.
//!
//! Created once for each connection, from the certificate of a verified handshake. The common name
//! is never used (RFC 9110 section 4.3.4): only subject alternative names count.

mod forwarded;

pub use forwarded::forwarded_client_cert;

use std::sync::Arc;

/// The identity in a verified client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// SHA-256 of the certificate (DER): what `cnf`'s `x5t#S256` and X-Forwarded-Client-Cert's `Hash` name.
    pub sha256: [u8; 32],
    /// The subject (RFC 4514), only for logs and X-Forwarded-Client-Cert; no rule uses it.
    pub subject: Arc<str>,
    /// URI names, a SPIFFE ID among them; at most one is a SPIFFE ID.
    pub uris: Vec<Arc<str>>,
    /// DNS names.
    pub dns_names: Vec<Arc<str>>,
}

impl Identity {
    /// All names that rules can match.
    pub fn subject_alt_names(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().chain(&self.dns_names).map(|name| &**name)
    }

    /// The SPIFFE ID, when there is one.
    pub fn spiffe_id(&self) -> Option<&str> {
        self.uris
            .iter()
            .map(|uri| &**uri)
            .find(|uri| uri.starts_with("spiffe://"))
    }
}
