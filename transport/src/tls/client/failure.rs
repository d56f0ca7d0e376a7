//! The reason of a failed TLS connection to an endpoint, from a closed set.

use std::{fmt, io};

use rustls::{AlertDescription, Error};

use crate::tls::{
    message,
    problem::{CertificateProblem, Problem},
};

/// Declares the reasons once: the type, the list and the label values.
macro_rules! failures {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// All variants in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The value of the label `reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

failures! {
/// Why TLS with an endpoint failed.
ServerFailure {
    /// No trusted CA signed its certificate.
    UnknownCa = "unknown_ca",
    /// Its certificate is for other names.
    WrongName = "wrong_name",
    /// Its certificate, or one above it, has expired.
    Expired = "expired",
    /// Its certificate, or one above it, is not valid yet.
    NotYetValid = "not_yet_valid",
    /// Its certificate is not for servers.
    WrongPurpose = "wrong_purpose",
    /// Its certificate is malformed, or the handshake signature is wrong.
    BadCertificate = "bad_certificate",
    /// It does not speak TLS.
    NotTls = "not_tls",
    /// No TLS version in common.
    ProtocolVersion = "protocol_version",
    /// No cipher suite, key exchange or signature scheme in common.
    NoSharedCipher = "no_shared_cipher",
    /// It does not support the required HTTP version.
    NoSharedProtocol = "no_shared_protocol",
    /// It requires a client certificate, and none is configured.
    CertificateRequired = "certificate_required",
    /// It rejected the proxy's certificate.
    CertificateRefused = "certificate_rejected",
    /// It does not know the server name (SNI).
    UnrecognizedName = "unrecognized_name",
    /// It rejected the handshake for another reason.
    HandshakeRefused = "handshake_rejected",
    /// The handshake was not complete within `connections.connectTimeout`.
    Timeout = "timeout",
    /// It closed the connection during the handshake.
    Closed = "closed",
    /// It violated the protocol.
    Protocol = "protocol",
    /// Any other error, on the proxy's side.
    Other = "other",
}
}

/// TLS with an endpoint failed.
#[derive(Debug, Clone)]
pub struct TlsFailed {
    /// The reason.
    pub failure: ServerFailure,
    /// The error of the library.
    pub(super) error: Option<Error>,
}

impl TlsFailed {
    pub(super) fn new(failure: ServerFailure, error: Option<Error>) -> Self {
        Self { failure, error }
    }

    /// The TLS failure inside an error of `connect`.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    /// Whether the verifier has reported it already.
    pub(super) fn is_reported(&self) -> bool {
        matches!(self.error, Some(Error::InvalidCertificate(_)))
    }
}

impl fmt::Display for TlsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS failed: {}", self.failure.as_str())?;
        self.error
            .as_ref()
            .and_then(message::of)
            .map_or(Ok(()), |message| write!(f, " ({message})"))
    }
}

impl std::error::Error for TlsFailed {}

/// Classifies an error of the stream.
pub(super) fn of_io(error: io::Error) -> TlsFailed {
    match library(&error) {
        Some(error) => of(error.clone()),
        None => TlsFailed::new(ServerFailure::Closed, None),
    }
}

/// The error of the library, if it is the cause.
pub(super) fn library(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Classifies an error of the library, and keeps it.
pub(super) fn of(error: Error) -> TlsFailed {
    TlsFailed::new(word(&error), Some(error))
}

/// The reason for an error of the library.
pub(super) fn word(error: &Error) -> ServerFailure {
    use ServerFailure as F;
    match Problem::of(error) {
        Problem::NoCertificate => F::BadCertificate,
        Problem::Certificate(problem) => of_certificate(problem),
        Problem::NotTls => F::NotTls,
        Problem::ProtocolVersion => F::ProtocolVersion,
        Problem::NoSharedCipher => F::NoSharedCipher,
        Problem::NoSharedProtocol => F::NoSharedProtocol,
        Problem::Alert(alert) => of_alert(alert),
        Problem::Protocol => F::Protocol,
        Problem::RevocationList | Problem::Other => F::Other,
    }
}

fn of_certificate(problem: CertificateProblem) -> ServerFailure {
    use CertificateProblem as P;
    match problem {
        P::UnknownCa => ServerFailure::UnknownCa,
        P::WrongName => ServerFailure::WrongName,
        P::Expired => ServerFailure::Expired,
        P::NotYetValid => ServerFailure::NotYetValid,
        P::WrongPurpose => ServerFailure::WrongPurpose,
        // No revocation lists and no SPIFFE rules for servers.
        P::Revoked | P::UnknownRevocation | P::CrlExpired | P::MultipleSpiffeIds | P::Malformed => {
            ServerFailure::BadCertificate
        }
    }
}

fn of_alert(alert: AlertDescription) -> ServerFailure {
    use AlertDescription as A;
    use ServerFailure as F;
    match alert {
        A::CertificateRequired => F::CertificateRequired,
        A::UnknownCA
        | A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::AccessDenied => F::CertificateRefused,
        A::UnrecognisedName => F::UnrecognizedName,
        A::ProtocolVersion => F::ProtocolVersion,
        A::NoApplicationProtocol => F::NoSharedProtocol,
        A::CloseNotify | A::UserCanceled => F::Closed,
        _ => F::HandshakeRefused,
    }
}
