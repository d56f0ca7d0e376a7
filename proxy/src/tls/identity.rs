//! Reads the identity of a client, as filters use it, from its certificate.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use outrigger_filters::identity::Identity;
use outrigger_transport::tls::certificate::{
    Unreadable, alternative_names, distinguished_name, parse,
};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;

/// The identity in a certificate.
///
/// # Errors
/// The certificate or its alternative names cannot be read.
pub(crate) fn read(der: &CertificateDer<'_>) -> Result<Identity, Unreadable> {
    of(&parse(der)?, der)
}

/// The identity in a parsed certificate.
///
/// # Errors
/// Its alternative names cannot be read.
pub(crate) fn of(certificate: &X509Certificate<'_>, der: &[u8]) -> Result<Identity, Unreadable> {
    let names = alternative_names(certificate)?;
    let shared = |names: Vec<&str>| names.into_iter().map(Arc::from).collect();
    let subject = distinguished_name(certificate.subject()).into();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, der).as_ref());
    Ok(Identity {
        sha256,
        subject,
        uris: shared(names.uris),
        dns_names: shared(names.dns_names),
    })
}
