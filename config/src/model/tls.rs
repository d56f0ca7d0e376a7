//! TLS: certificates, who is believed, and what was read from the files that the configuration names.
//!
//! Files are read and checked when the configuration is loaded, all of one generation together, so a certificate that is
//! rotated is simply a new configuration: it is accepted as a pair or not at all.

use std::{fmt, net::IpAddr, path::Path, sync::Arc, time::SystemTime};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::part::hostname::Hostname;

/// `listeners[].tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTls {
    /// What is shown to clients whose server name no entry of `sni` takes.
    pub certificate: Arc<Certificate>,
    /// More certificates, chosen by server name: exact before wildcard, longer wildcards first.
    pub sni: Vec<SniCertificate>,
    /// The lowest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// Who may connect; `None`: clients present no certificate.
    pub client_auth: Option<ClientAuth>,
}

/// One item of `sni`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SniCertificate {
    /// The server names; at least one.
    pub hostnames: Vec<Hostname>,
    /// What is shown to them.
    pub certificate: Arc<Certificate>,
}

/// A certificate chain with its key. The key fits, and the library can sign with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// When the leaf is not valid any more.
    pub not_after: SystemTime,
    /// Where the chain was read from.
    pub cert_file: Arc<Path>,
    /// Where the key was read from; the same file for a bundle.
    pub key_file: Arc<Path>,
}

/// A private key; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub(crate) Arc<PrivateKeyDer<'static>>);

impl PrivateKey {
    /// The key, for whoever signs with it.
    pub fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The lowest TLS version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// `clientAuth`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAuth {
    /// Whether a client without a certificate may connect. Default required.
    pub mode: ClientAuthMode,
    /// The certificates that sign clients' ones; at least one.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Where they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// Revocation lists; when there is one, every CA of a chain needs one that is still current.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// Where they were read from.
    pub crl_files: Vec<Arc<Path>>,
    /// Whether the app is told in X-Forwarded-Client-Cert. Default false.
    pub forward_identity: bool,
}

/// Whether a client without a certificate may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// The handshake fails.
    Required,
    /// It may; a route that needs `mtls` answers 403.
    Optional,
}

/// `upstreams.*.tls`: TLS towards endpoints, which are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientTls {
    /// Server name, name in the certificate, and Host on outbound routes. Default: each endpoint's own.
    pub hostname: Option<Arc<str>>,
    /// With any, the certificate must have one of these in place of the server name.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// The certificates that sign endpoints' ones; without any the system's.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Where they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// What is shown to endpoints that ask for a certificate.
    pub certificate: Option<Arc<Certificate>>,
}

impl ClientTls {
    /// Whether the other one is written in the same way, whatever the files hold.
    pub fn same_block(&self, other: &Self) -> bool {
        let files = |tls: &Self| {
            let certificate = tls.certificate.as_ref();
            certificate.map(|one| (Arc::clone(&one.cert_file), Arc::clone(&one.key_file)))
        };
        self.hostname == other.hostname
            && self.subject_alt_names == other.subject_alt_names
            && self.ca_files == other.ca_files
            && files(self) == files(other)
    }
}

/// A name that a certificate may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A DNS name, in lower case.
    Dns(Arc<str>),
    /// An address.
    Ip(IpAddr),
    /// A URI, byte by byte.
    Uri(Arc<str>),
}
