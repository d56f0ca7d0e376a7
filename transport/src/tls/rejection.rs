//! Certificates that the library accepts and the proxy rejects.

/// Why the proxy rejects a certificate that webpki accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It would be ambiguous which one identifies the peer.
    #[error("the certificate has more than one SPIFFE ID")]
    MultipleSpiffeIds,
    /// It is one of `caFiles`, and its key must not sign handshakes.
    #[error("its key usage lacks digitalSignature")]
    KeyUsage,
}
