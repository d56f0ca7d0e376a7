//! Error messages of the TLS library for log lines: what is wrong and, where possible, what to do.
//! Identifiers of the library's code do not appear in messages.

use std::{fmt::Debug, io};

use rustls::{CertificateError, Error};

use super::rejection::Rejection;

/// Details of an error; `None` where its failure reason is enough.
pub fn of(error: &Error) -> Option<String> {
    Some(match error {
        Error::InvalidCertificate(error) => return of_certificate(error),
        Error::InvalidCertRevocationList(error) => {
            format!(
                "a revocation list of crlFiles cannot be used; have its CA issue it again: {}",
                plain(error)
            )
        }
        Error::AlertReceived(alert) => {
            format!("it sent the alert {}", plain(alert).replace(' ', "_"))
        }
        Error::PeerIncompatible(why) => plain(why),
        Error::PeerMisbehaved(why) => plain(why),
        Error::InvalidMessage(why) => format!("an invalid message: {}", plain(why)),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "an unexpected message".to_owned()
        }
        Error::DecryptError => "bytes that cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "a record that is too long".to_owned(),
        Error::InconsistentKeys(_) => "the key does not belong to the certificate".to_owned(),
        Error::NoCertificatesPresented | Error::NoApplicationProtocol => return None,
        Error::General(text) => text.clone(),
        other => plain(other),
    })
}

/// The same after a colon, for the end of a message.
pub fn suffix(error: &Error) -> String {
    of(error).map_or_else(String::new, |message| format!(": {message}"))
}

/// An I/O error, which may contain one of the TLS library.
pub fn of_io(error: &io::Error) -> String {
    let library = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    let Some(error) = library else {
        return error.to_string();
    };
    use CertificateError as E;
    let why = match error {
        Error::InvalidCertificate(E::UnknownIssuer) => {
            "no certificate of caFiles (without it the system's roots) signed the server's"
        }
        Error::InvalidCertificate(E::NotValidForName | E::NotValidForNameContext { .. }) => {
            "the server's certificate is for other names"
        }
        Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. }) => {
            "the server's certificate, or one above it, has expired"
        }
        Error::InvalidCertificate(E::NotValidYet | E::NotValidYetContext { .. }) => {
            "the server's certificate, or one above it, is not valid yet; are the clocks right?"
        }
        Error::InvalidCertificate(E::InvalidPurpose | E::InvalidPurposeContext { .. }) => {
            "the server's certificate is not for servers: it lacks the extended key usage serverAuth"
        }
        Error::NoApplicationProtocol => "the server does not speak HTTP/1.1",
        Error::NoCertificatesPresented => "the server has no certificate",
        other => return of(other).unwrap_or_else(|| "the library failed".to_owned()),
    };
    why.to_owned()
}

fn of_certificate(error: &CertificateError) -> Option<String> {
    use CertificateError as E;
    Some(match error {
        E::Expired
        | E::ExpiredContext { .. }
        | E::NotValidYet
        | E::NotValidYetContext { .. }
        | E::UnknownIssuer
        | E::NotValidForName
        | E::NotValidForNameContext { .. }
        | E::InvalidPurpose
        | E::InvalidPurposeContext { .. }
        | E::Revoked
        | E::UnknownRevocationStatus
        | E::ExpiredRevocationList
        | E::ExpiredRevocationListContext { .. } => return None,
        E::BadEncoding => "it cannot be read as X.509 of version 3; issue it again".to_owned(),
        E::UnhandledCriticalExtension => {
            "it has a critical extension that the proxy does not know; issue it without that extension".to_owned()
        }
        E::BadSignature => "a signature in its chain is wrong; issue it again".to_owned(),
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it, or one above it, is signed in a way that is not supported; use ECDSA or RSA (2048 bits and more) with SHA-256"
                .to_owned()
        }
        E::Other(error) => match error.0.downcast_ref::<Rejection>() {
            Some(rejection) => rejection.to_string(),
            None => of_path(&format!("{:?}", error.0)),
        },
        other => plain(other),
    })
}

/// Errors for which webpki has no text, by their names in its code.
fn of_path(name: &str) -> String {
    let message = match name {
        "CaUsedAsEndEntity" => {
            "it is the certificate of a CA (CA:TRUE); put this very certificate into caFiles, or issue one with CA:FALSE"
        }
        "EndEntityUsedAsCa" => "a certificate above it is not that of a CA (CA:FALSE)",
        "PathLenConstraintViolated" => "its chain is longer than a CA above it allows",
        "NameConstraintViolation" => "a CA above it may not sign for its names",
        other => return plain(&other),
    };
    message.to_owned()
}

/// An identifier of the library's code as lower-case words, without its fields.
fn plain(name: &dyn Debug) -> String {
    let name = format!("{name:?}");
    let name = name
        .trim_start_matches('"')
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    let mut message = String::new();
    let mut last = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && last.is_ascii_lowercase() {
            message.push(' ');
        }
        message.push(letter.to_ascii_lowercase());
        last = letter;
    }
    message
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{AlertDescription, OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("raw")]
    struct CaUsedAsEndEntity;

    #[test]
    fn no_message_has_a_name_of_the_library_s_code() {
        let other = CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity)));
        for (error, expected) in [
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "no cipher suites in common",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "it sent the alert handshake_failure",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "it sent the alert unknown_ca",
            ),
            (
                PeerMisbehaved::TooManyEmptyFragments.into(),
                "too many empty fragments",
            ),
            (
                other.into(),
                "it is the certificate of a CA (CA:TRUE); put this very certificate into caFiles, or issue one with CA:FALSE",
            ),
        ] {
            assert_eq!(of(&error).as_deref(), Some(expected));
        }
        assert_eq!(of(&CertificateError::UnknownIssuer.into()), None);
        let error = io::Error::other(Error::from(CertificateError::UnknownIssuer));
        assert!(
            of_io(&error).starts_with("no certificate of caFiles"),
            "{}",
            of_io(&error)
        );
    }
}
