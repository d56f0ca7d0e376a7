//! The certificates of `caFiles`: CAs, whose word about others is believed, and certificates that stand for their own owner.
//!
//! webpki never takes a certificate with CA:TRUE for that of a peer, and `openssl req -x509` makes no other ones. So a peer
//! that shows one of the very certificates of the file needs no chain: its dates and what its key is for are checked here.
//! One that is not a CA's stands for its owner alone and is no anchor: with webpki it could sign others.

use std::sync::Arc;

use rustls::{
    CertificateError, DistinguishedName, Error, ExtendedKeyPurpose, OtherError, RootCertStore,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;

use super::{certificate, refused::Refused};

/// What a key must be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A server's; a certificate that names no purpose is for all.
    Server,
    /// A client's. Whether its purpose must be named is asked elsewhere.
    Client,
}

/// Whom a side believes.
#[derive(Debug)]
pub struct Anchors {
    /// The CAs.
    pub store: Arc<RootCertStore>,
    /// All certificates of the file, in which a peer's own may be.
    named: Vec<CertificateDer<'static>>,
}

impl From<Arc<RootCertStore>> for Anchors {
    /// CAs alone, such as those of the system.
    fn from(store: Arc<RootCertStore>) -> Self {
        Self {
            store,
            named: Vec::new(),
        }
    }
}

impl Anchors {
    /// Those of `caFiles`.
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

    /// Whether the file has this very certificate.
    pub fn name(&self, leaf: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|one| one == leaf)
    }

    /// The subjects of all of them, for those who ask which one they should show.
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

/// Checks what webpki checks of a peer's certificate beside its chain, and that its key may sign a handshake.
///
/// # Errors
/// It is not valid now, not for this purpose, or broken.
pub fn check(leaf: &CertificateDer<'_>, now: UnixTime, purpose: Purpose) -> Result<(), Error> {
    // What webpki cannot read, or has a critical extension that it does not know.
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
    // RFC 8446 section 4.4.2.2. The key of a CA that may only sign certificates is nobody's who speaks TLS.
    let usage = certificate
        .key_usage()
        .map_err(|_| CertificateError::BadEncoding)?;
    match usage.is_none_or(|usage| usage.value.digital_signature()) {
        true => Ok(()),
        false => Err(CertificateError::Other(OtherError(Arc::new(Refused::KeyUsage))).into()),
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    certificate::parse(der).map_err(|_| CertificateError::BadEncoding.into())
}
