//! Certificates that the library accepts and the proxy refuses.

/// What webpki lets pass and we do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody could say which one counts.
    #[error("the certificate has more than one SPIFFE ID")]
    MultipleSpiffeIds,
    /// It is one of `caFiles`, and its key is not for this.
    #[error("its key usage lacks digitalSignature")]
    KeyUsage,
}
