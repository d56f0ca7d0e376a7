//! Verifies an endpoint's certificate: its chain ends at a trusted root, it is valid now and for
//! servers, and it has the requested name or, if configured, one of `subjectAltNames`.

use std::{net::IpAddr, sync::Arc};

use outrigger_config::model::SubjectAltName;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, UnixTime};

use super::{FailedHandshake, Observer, failure};
use crate::tls::{
    anchors::{self, Anchors, Purpose},
    certificate::{self, Unreadable},
};

/// Names of which a certificate must have one.
#[derive(Debug)]
pub(super) struct Names {
    /// Compared like server names: a `*` in the certificate matches one label.
    servers: Vec<ServerName<'static>>,
    /// Compared byte by byte.
    uris: Vec<Arc<str>>,
}

impl Names {
    pub(super) fn new(accepted: &[SubjectAltName]) -> Self {
        let mut names = Self {
            servers: Vec::new(),
            uris: Vec::new(),
        };
        for name in accepted {
            match name {
                SubjectAltName::Uri(uri) => names.uris.push(Arc::clone(uri)),
                SubjectAltName::Ip(address) => names.servers.push(ip(*address)),
                // The loader accepts valid names only.
                SubjectAltName::Dns(name) => names.servers.extend(
                    DnsName::try_from(name.to_string())
                        .ok()
                        .map(ServerName::DnsName),
                ),
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.uris.is_empty()
    }

    /// Whether the certificate has one of the names.
    fn hold(&self, leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
        if self
            .servers
            .iter()
            .any(|name| verify_server_name(parsed, name).is_ok())
        {
            return true;
        }
        !self.uris.is_empty() && self.hold_uri(leaf).unwrap_or(false)
    }

    fn hold_uri(&self, leaf: &CertificateDer<'_>) -> Result<bool, Unreadable> {
        let certificate = certificate::parse(leaf)?;
        let uris = certificate::alternative_names(&certificate)?.uris;
        // A certificate with two SPIFFE IDs identifies no workload (X509-SVID section 2), as with
        // clients.
        let workloads = uris.iter().filter(|uri| uri.starts_with("spiffe://"));
        let accepted = |uri: &&str| self.uris.iter().any(|one| **one == **uri);
        Ok(workloads.count() <= 1 && uris.iter().any(accepted))
    }
}

fn ip(address: IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.into())
}

#[derive(Debug)]
pub(super) struct Verifier {
    anchors: Anchors,
    names: Names,
    algorithms: WebPkiSupportedAlgorithms,
    /// The upstream, and the observer of its verification failures.
    observer: Option<(Arc<str>, Arc<dyn Observer>)>,
}

impl Verifier {
    pub(super) fn new(
        anchors: Anchors,
        names: Names,
        observer: Option<(Arc<str>, Arc<dyn Observer>)>,
    ) -> Self {
        let algorithms = crate::tls::provider().signature_verification_algorithms;
        Self {
            anchors,
            names,
            algorithms,
            observer,
        }
    }

    /// Verifies the chain of a resumed session, since time has passed since its handshake.
    pub(super) fn verify_again(
        &self,
        chain: &[CertificateDer<'_>],
        server: &ServerName<'_>,
    ) -> Result<(), Error> {
        let [leaf, between @ ..] = chain else {
            return Err(Error::NoCertificatesPresented);
        };
        self.verify_server_cert(leaf, between, server, &[], UnixTime::now())
            .map(drop)
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        match self.anchors.name(leaf) {
            true => anchors::check(leaf, now, Purpose::Server)?,
            false => {
                let (store, algorithms) = (&self.anchors.store, self.algorithms.all);
                verify_server_cert_signed_by_trust_anchor(
                    &parsed, store, between, now, algorithms,
                )?;
            }
        }
        if self.names.is_empty() {
            return verify_server_name(&parsed, server);
        }
        match self.names.hold(leaf, &parsed) {
            true => Ok(()),
            false => Err(CertificateError::NotValidForName.into()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify(leaf, between, server, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                // The certificate is only available here.
                if let Some((upstream, observer)) = &self.observer {
                    observer.failed(FailedHandshake {
                        upstream: Arc::clone(upstream),
                        server: server.to_str().into(),
                        failure: failure::word(&error),
                        error: Some(error.clone()),
                        certificate: Some(leaf.clone().into_owned()),
                    });
                }
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
