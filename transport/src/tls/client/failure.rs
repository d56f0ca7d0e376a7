//! Why there is no TLS with an endpoint, in one word of a closed set.

use std::{fmt, io};

use rustls::{AlertDescription, Error};

use crate::tls::{
    problem::{CertificateProblem, Problem},
    words,
};

/// Declares the reasons once: the type, the list and the words.
macro_rules! failures {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// All of them, in the order of the variants.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it, as the label `reason` has it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

failures! {
/// Why there is no TLS with an endpoint.
ServerFailure {
    /// Nobody who is believed signed its certificate.
    UnknownCa = "unknown_ca",
    /// Its certificate is for other names.
    WrongName = "wrong_name",
    /// Its certificate, or one above it, has expired.
    Expired = "expired",
    /// Its certificate, or one above it, is not valid yet.
    NotYetValid = "not_yet_valid",
    /// Its certificate is not for servers.
    WrongPurpose = "wrong_purpose",
    /// Its certificate is broken, or its key did not sign.
    BadCertificate = "bad_certificate",
    /// It does not speak TLS.
    NotTls = "not_tls",
    /// No TLS version in common.
    ProtocolVersion = "protocol_version",
    /// No cipher suite, key exchange or signature scheme in common.
    NoSharedCipher = "no_shared_cipher",
    /// It does not speak the HTTP version that is needed.
    NoSharedProtocol = "no_shared_protocol",
    /// It wants a certificate of us, and there is none.
    CertificateRequired = "certificate_required",
    /// It does not accept our certificate.
    CertificateRefused = "certificate_rejected",
    /// It knows no server of that name.
    UnrecognizedName = "unrecognized_name",
    /// It gave up for another reason.
    HandshakeRefused = "handshake_rejected",
    /// Not done within `connections.connectTimeout`.
    Timeout = "timeout",
    /// It went away in the middle.
    Closed = "closed",
    /// It broke the protocol.
    Protocol = "protocol",
    /// Anything else, of our own side.
    Other = "other",
}
}

/// TLS with an endpoint failed.
#[derive(Debug, Clone)]
pub struct TlsFailed {
    /// Why.
    pub failure: ServerFailure,
    /// What the library says.
    pub(super) error: Option<Error>,
}

impl TlsFailed {
    pub(super) fn new(failure: ServerFailure, error: Option<Error>) -> Self {
        Self { failure, error }
    }

    /// The one in an error of a connect.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    /// Whether the verifier has told it already.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.error, Some(Error::InvalidCertificate(_)))
    }
}

impl fmt::Display for TlsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS failed: {}", self.failure.as_str())?;
        self.error
            .as_ref()
            .and_then(words::of)
            .map_or(Ok(()), |words| write!(f, " ({words})"))
    }
}

impl std::error::Error for TlsFailed {}

/// What an error of the stream means.
pub(super) fn of_io(error: io::Error) -> TlsFailed {
    match library(&error) {
        Some(error) => of(error.clone()),
        None => TlsFailed::new(ServerFailure::Closed, None),
    }
}

/// What the library said, when it was the library.
pub(super) fn library(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The word for what the library says, and that itself.
pub(super) fn of(error: Error) -> TlsFailed {
    TlsFailed::new(word(&error), Some(error))
}

/// The word for what the library says.
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
