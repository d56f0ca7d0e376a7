//! Why a handshake failed, in one word of a closed set.

use std::io;

use outrigger_transport::tls::refused::Refused;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::telemetry::handshakes::Failure;

/// The word for what ended a handshake.
pub(crate) fn of_io(error: &io::Error) -> Failure {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        Some(error) => of(error),
        None => Failure::Closed,
    }
}

/// The word for what the library says.
pub(crate) fn of(error: &Error) -> Failure {
    match error {
        Error::NoCertificatesPresented => Failure::NoCertificate,
        Error::InvalidCertificate(error) => of_certificate(error),
        // The list is ours, but the chain that needs it cannot be judged.
        Error::InvalidCertRevocationList(_) => Failure::UnknownRevocation,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Failure::NotTls,
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => Failure::ProtocolVersion,
        Error::PeerIncompatible(error) => of_incompatible(error),
        Error::NoApplicationProtocol => Failure::NoSharedProtocol,
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::DecryptError
        | Error::PeerSentOversizedRecord => Failure::Protocol,
        _ => Failure::Other,
    }
}

fn of_certificate(error: &CertificateError) -> Failure {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => Failure::UnknownCa,
        E::Expired | E::ExpiredContext { .. } => Failure::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => Failure::NotYetValid,
        E::Revoked => Failure::Revoked,
        E::UnknownRevocationStatus => Failure::UnknownRevocation,
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => Failure::CrlExpired,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => Failure::WrongPurpose,
        E::Other(error) => match error.0.downcast_ref::<Refused>() {
            Some(Refused::MultipleSpiffeIds) => Failure::MultipleSpiffeIds,
            Some(Refused::KeyUsage) => Failure::WrongPurpose,
            None => Failure::BadCertificate,
        },
        _ => Failure::BadCertificate,
    }
}

fn of_incompatible(error: &PeerIncompatible) -> Failure {
    use PeerIncompatible as E;
    match error {
        // Required since TLS 1.2 (RFC 5246 section 7.4.1.4.1): a client without it speaks something older.
        E::SignatureAlgorithmsExtensionRequired
        | E::ServerDoesNotSupportTls12Or13
        | E::ServerTlsVersionIsDisabledByOurConfig
        | E::SupportedVersionsExtensionRequired
        | E::Tls12NotOffered
        | E::Tls12NotOfferedOrEnabled => Failure::ProtocolVersion,
        _ => Failure::NoSharedCipher,
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
