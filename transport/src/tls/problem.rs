//! What is wrong with a TLS connection on either side: the one place that reads the errors of
//! rustls.
//!
//! Each side has its own closed set, `ServerFailure` here and `Failure` in the proxy: some problems
//! exist on one side only, and the same alert means different things about a client and a server.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::rejection::Rejection;

/// The problem of a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The peer sent no certificate.
    NoCertificate,
    /// The peer's certificate, or one above it, is rejected.
    Certificate(CertificateProblem),
    /// A revocation list is malformed, so the chain that needs it cannot be verified.
    RevocationList,
    /// The peer does not speak TLS.
    NotTls,
    /// No TLS version in common.
    ProtocolVersion,
    /// No cipher suite, key exchange or signature scheme in common.
    NoSharedCipher,
    /// No application protocol in common.
    NoSharedProtocol,
    /// The peer sent an alert.
    Alert(AlertDescription),
    /// The peer violated the protocol.
    Protocol,
    /// Any other error, on this side.
    Other,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateProblem {
    /// No trusted CA signed it.
    UnknownCa,
    /// It is for other names.
    WrongName,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// A revocation list contains it.
    Revoked,
    /// No revocation list is from its issuer.
    UnknownRevocation,
    /// The revocation list of its issuer is out of date.
    CrlExpired,
    /// It is not for this side of a connection.
    WrongPurpose,
    /// It has more than one SPIFFE ID.
    MultipleSpiffeIds,
    /// It is malformed, or the handshake signature is wrong.
    Malformed,
}

impl Problem {
    /// Classifies an error of the library.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => Self::Certificate(CertificateProblem::of(error)),
            Error::InvalidCertRevocationList(_) => Self::RevocationList,
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => Self::ProtocolVersion,
            Error::PeerIncompatible(error) => Self::incompatible(error),
            Error::NoApplicationProtocol => Self::NoSharedProtocol,
            Error::AlertReceived(alert) => Self::Alert(*alert),
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => Self::Protocol,
            _ => Self::Other,
        }
    }

    fn incompatible(error: &PeerIncompatible) -> Self {
        use PeerIncompatible as E;
        match error {
            // Required since TLS 1.2 (RFC 5246 section 7.4.1.4.1): a client without it uses an older version.
            E::SignatureAlgorithmsExtensionRequired
            | E::ServerDoesNotSupportTls12Or13
            | E::ServerTlsVersionIsDisabledByOurConfig
            | E::SupportedVersionsExtensionRequired
            | E::Tls12NotOffered
            | E::Tls12NotOfferedOrEnabled => Self::ProtocolVersion,
            _ => Self::NoSharedCipher,
        }
    }
}

impl CertificateProblem {
    fn of(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::UnknownIssuer => Self::UnknownCa,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::Revoked => Self::Revoked,
            E::UnknownRevocationStatus => Self::UnknownRevocation,
            E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => Self::CrlExpired,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongPurpose,
            E::Other(error) => match error.0.downcast_ref::<Rejection>() {
                Some(Rejection::MultipleSpiffeIds) => Self::MultipleSpiffeIds,
                Some(Rejection::KeyUsage) => Self::WrongPurpose,
                None => Self::Malformed,
            },
            _ => Self::Malformed,
        }
    }
}
