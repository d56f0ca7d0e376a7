//! Who a verified client certificate says the client is.
//!
//! Made once for each connection, from the parsed certificate of a handshake that was verified. The common name is
//! never used (RFC 9110 section 4.3.4): names are the subject alternative names alone.

mod forwarded;

pub use forwarded::forwarded_client_cert;

use std::sync::Arc;

/// The identity of a client certificate that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// SHA-256 of the certificate (DER): what `cnf`'s `x5t#S256` and X-Forwarded-Client-Cert's `Hash` name.
    pub sha256: [u8; 32],
    /// The subject, for logs and X-Forwarded-Client-Cert (RFC 4514); decides nothing.
    pub subject: Arc<str>,
    /// URI names, a SPIFFE ID among them; at most one is a SPIFFE ID.
    pub uris: Vec<Arc<str>>,
    /// DNS names.
    pub dns_names: Vec<Arc<str>>,
}

impl Identity {
    /// All names that rules may look at.
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
