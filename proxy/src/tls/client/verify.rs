//! Whether an endpoint is who it should be: its chain ends at a root that is believed, it is for servers and valid now,
//! and it has the name that was asked for, or one of `subjectAltNames` in its place.

use std::{net::IpAddr, sync::Arc};

use outrigger_config::model::SubjectAltName;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, UnixTime};

use super::failure;
use crate::tls::{
    identity,
    notes::{Notes, UpstreamNote},
};

/// Names of which a certificate must have one.
#[derive(Debug)]
pub(super) struct Names {
    /// Compared as server names are: a `*` in the certificate takes one label.
    servers: Vec<ServerName<'static>>,
    /// Compared byte by byte.
    uris: Vec<Arc<str>>,
}

impl Names {
    pub(super) fn new(accepted: &[SubjectAltName]) -> Self {
        let mut names = Self { servers: Vec::new(), uris: Vec::new() };
        for name in accepted {
            match name {
                SubjectAltName::Uri(uri) => names.uris.push(Arc::clone(uri)),
                SubjectAltName::Ip(address) => names.servers.push(ip(*address)),
                // The loader takes names only that are some.
                SubjectAltName::Dns(name) => {
                    names.servers.extend(DnsName::try_from(name.to_string()).ok().map(ServerName::DnsName))
                }
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.uris.is_empty()
    }

    /// Whether the certificate has one of them.
    fn hold(&self, leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
        if self.servers.iter().any(|name| verify_server_name(parsed, name).is_ok()) {
            return true;
        }
        let identity = (!self.uris.is_empty()).then(|| identity::read(leaf).ok()).flatten();
        // Who is two workloads at once is none of them (X509-SVID section 2), as with clients.
        identity.is_some_and(|identity| {
            let workloads = identity.uris.iter().filter(|uri| uri.starts_with("spiffe://")).count();
            workloads <= 1 && identity.uris.iter().any(|uri| self.uris.contains(uri))
        })
    }
}

fn ip(address: IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.into())
}

/// Verifies the endpoints of one upstream.
#[derive(Debug)]
pub(super) struct Verifier {
    upstream: Arc<str>,
    roots: Arc<RootCertStore>,
    library: Arc<WebPkiServerVerifier>,
    names: Names,
    notes: Notes,
}

impl Verifier {
    pub(super) fn new(
        upstream: &Arc<str>,
        roots: Arc<RootCertStore>,
        names: Names,
        notes: &Notes,
    ) -> Result<Self, VerifierBuilderError> {
        let provider = crate::tls::provider();
        let library = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build()?;
        Ok(Self { upstream: Arc::clone(upstream), roots, library, names, notes: notes.clone() })
    }

    /// Verifies the chain of a session that goes on: time has passed since it began.
    pub(super) fn verify_again(
        &self,
        chain: &[CertificateDer<'_>],
        server: &ServerName<'_>,
    ) -> Result<(), Error> {
        let [leaf, between @ ..] = chain else { return Err(Error::NoCertificatesPresented) };
        self.verify_server_cert(leaf, between, server, &[], UnixTime::now()).map(drop)
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.names.is_empty() {
            return self.library.verify_server_cert(leaf, between, server, ocsp, now).map(drop);
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = crate::tls::provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms)?;
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
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify(leaf, between, server, ocsp, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                // Only here the certificate is at hand.
                self.notes.leave_upstream(UpstreamNote {
                    upstream: Arc::clone(&self.upstream),
                    server: server.to_str().into(),
                    failure: failure::word(&error),
                    error: Some(error.clone()),
                    certificate: Some(leaf.clone().into_owned()),
                });
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
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}
