//! The certificates of `caFiles`: CAs, which vouch for other certificates, and end-entity
//! certificates, which are trusted for their own owner only.
//!
//! webpki never accepts a certificate with CA:TRUE as that of a peer, but `openssl req -x509`
//! always sets it. So a peer that presents a certificate of the file itself needs no chain; its
//! validity period and key usage are checked here. A certificate that is not a CA is trusted for
//! its owner alone and is no trust anchor: webpki would let an anchor sign other certificates.

use std::sync::Arc;

use rustls::{
    CertificateError, DistinguishedName, Error, ExtendedKeyPurpose, OtherError, RootCertStore,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;

use super::{certificate, rejection::Rejection};

/// The purpose that a key must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A server; a certificate without extended key usage is valid for every purpose.
    Server,
    /// A client. Whether the extended key usage is required is checked elsewhere.
    Client,
}

/// The trusted certificates of one side.
#[derive(Debug)]
pub struct Anchors {
    /// The CA certificates.
    pub store: Arc<RootCertStore>,
    /// All certificates of the file; a peer may present one of them.
    named: Vec<CertificateDer<'static>>,
}

impl From<Arc<RootCertStore>> for Anchors {
    /// CAs only, such as those of the system.
    fn from(store: Arc<RootCertStore>) -> Self {
        Self {
            store,
            named: Vec::new(),
        }
    }
}

impl Anchors {
    /// The certificates of `caFiles`.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn new(certificates: &[CertificateDer<'static>]) -> Result<Self, Error> {
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            let may_sign = parse(certificate).is_ok_and(|certificate| may_sign(&certificate));
            if may_sign {
                store.add(certificate.clone())?;
            }
        }
        Ok(Self {
            store: Arc::new(store),
            named: certificates.to_vec(),
        })
    }

    /// Whether the file contains exactly this certificate.
    pub fn name(&self, leaf: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|one| one == leaf)
    }

    /// The subjects of all certificates, as hints for clients which certificate to present.
    pub fn subjects(&self) -> Vec<DistinguishedName> {
        let mut all = RootCertStore::empty();
        all.add_parsable_certificates(self.named.iter().cloned());
        all.subjects()
    }
}

/// RFC 5280 sections 4.2.1.9 and 4.2.1.3.
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

/// Checks what webpki checks of a peer's certificate apart from its chain, and that its key may
/// sign a handshake.
///
/// # Errors
/// The certificate is not valid now, not for this purpose, or malformed.
pub fn check(leaf: &CertificateDer<'_>, now: UnixTime, purpose: Purpose) -> Result<(), Error> {
    // Fails when webpki cannot parse it, or it has an unknown critical extension.
    ParsedCertificate::try_from(leaf)?;
    let certificate = parse(leaf)?;
    let validity = certificate.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    let usage = certificate
        .extended_key_usage()
        .map_err(|_| CertificateError::BadEncoding)?;
    let (needed, fits) = match purpose {
        Purpose::Server => (
            ExtendedKeyPurpose::ServerAuth,
            usage.is_none_or(|usage| usage.value.server_auth),
        ),
        Purpose::Client => (
            ExtendedKeyPurpose::ClientAuth,
            usage.is_none_or(|usage| usage.value.client_auth),
        ),
    };
    if !fits {
        return Err(CertificateError::InvalidPurposeContext {
            required: needed,
            presented: Vec::new(),
        }
        .into());
    }
    // RFC 8446 section 4.4.2.2. A CA key that may only sign certificates cannot sign a handshake.
    let usage = certificate
        .key_usage()
        .map_err(|_| CertificateError::BadEncoding)?;
    match usage.is_none_or(|usage| usage.value.digital_signature()) {
        true => Ok(()),
        false => Err(CertificateError::Other(OtherError(Arc::new(Rejection::KeyUsage))).into()),
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    certificate::parse(der).map_err(|_| CertificateError::BadEncoding.into())
}
