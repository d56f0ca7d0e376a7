//! The reason of a failed handshake with a client, from a closed set.

use std::io;

use outrigger_transport::tls::problem::{CertificateProblem, Problem};
use rustls::{AlertDescription, Error};

use crate::telemetry::handshakes::Failure;

/// Classifies the error that ended a handshake.
pub(crate) fn of_io(error: &io::Error) -> Failure {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        Some(error) => of(error),
        None => Failure::Closed,
    }
}

/// Classifies an error of the library.
pub(crate) fn of(error: &Error) -> Failure {
    match Problem::of(error) {
        Problem::NoCertificate => Failure::NoCertificate,
        Problem::Certificate(problem) => of_certificate(problem),
        Problem::RevocationList => Failure::UnknownRevocation,
        Problem::NotTls => Failure::NotTls,
        Problem::ProtocolVersion => Failure::ProtocolVersion,
        Problem::NoSharedCipher => Failure::NoSharedCipher,
        Problem::NoSharedProtocol => Failure::NoSharedProtocol,
        Problem::Alert(alert) => of_alert(alert),
        Problem::Protocol => Failure::Protocol,
        Problem::Other => Failure::Other,
    }
}

fn of_certificate(problem: CertificateProblem) -> Failure {
    use CertificateProblem as P;
    match problem {
        P::UnknownCa => Failure::UnknownCa,
        P::Expired => Failure::Expired,
        P::NotYetValid => Failure::NotYetValid,
        P::Revoked => Failure::Revoked,
        P::UnknownRevocation => Failure::UnknownRevocation,
        P::CrlExpired => Failure::CrlExpired,
        P::WrongPurpose => Failure::WrongPurpose,
        P::MultipleSpiffeIds => Failure::MultipleSpiffeIds,
        P::WrongName | P::Malformed => Failure::BadCertificate,
    }
}

fn of_alert(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    match alert {
        A::UnknownCA => Failure::ClientAlertUnknownCa,
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown => Failure::ClientAlertBadCertificate,
        A::CloseNotify | A::UserCanceled => Failure::Closed,
        _ => Failure::ClientAlertOther,
    }
}
