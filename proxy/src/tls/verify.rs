//! Verifies client certificates (`docs/security.md` 15 and 16).
//!
//! webpki checks the chain, its validity and its revocation. This module closes the gaps: it
//! rejects a certificate without the clientAuth usage, also one without any usage, and one with two
//! SPIFFE IDs. With revocation lists, every CA of a chain needs a current one; a certificate
//! without a matching list is rejected.
//!
//! rustls accepts a resumed session's chain without verifying it again, so [`Trust::verify`] is
//! also called after each resumed handshake, and for live connections when the trust has changed.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    sync::Arc,
};

use outrigger_config::model::{ClientAuth, ClientAuthMode};
use outrigger_filters::identity::Identity;
use outrigger_transport::tls::{
    anchors::{self, Anchors, Purpose},
    certificate,
    rejection::Rejection,
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::task_local;
use x509_parser::{
    certificate::X509Certificate, prelude::FromDer, revocation_list::CertificateRevocationList,
};

use super::identity;

task_local! {
    static NOTES: Notes;
}

/// Facts about one handshake. All connections share the library's verifier and tickets; task-local
/// notes tell which connection they work for.
struct Notes {
    presented: RefCell<PresentedClient>,
    /// Until when the client's chain is valid, in seconds since 1970; the maximum without a chain.
    chain_end: Cell<u64>,
}

/// What a handshake has revealed about the client.
#[derive(Debug, Default)]
pub(crate) struct PresentedClient {
    /// The certificate that it presented, trusted or not.
    pub certificate: Option<CertificateDer<'static>>,
    /// Its identity, if it is trusted.
    pub identity: Option<Identity>,
}

/// Runs a handshake, and notes what the client presents.
pub(crate) async fn observe<F: Future>(handshake: F) -> (F::Output, PresentedClient) {
    let notes = Notes {
        presented: RefCell::default(),
        chain_end: Cell::new(u64::MAX),
    };
    NOTES
        .scope(notes, async {
            (handshake.await, NOTES.with(|notes| notes.presented.take()))
        })
        .await
}

/// Until when the chain of the current handshake is valid; `None` outside of a handshake.
pub(super) fn chain_end() -> Option<u64> {
    NOTES.try_with(|notes| notes.chain_end.get()).ok()
}

/// Notes that the current handshake resumes with a chain of an earlier one.
pub(super) fn resume_chain(end: u64) {
    let _ = NOTES.try_with(|notes| notes.chain_end.set(end));
}

/// Trust in clients: one `clientAuth`, reduced to what affects decisions.
pub(crate) struct Trust {
    auth: ClientAuth,
    anchors: Anchors,
    /// Verifies chains; `None` without any CA.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

impl Trust {
    /// Builds the trust of the accepted configuration.
    ///
    /// # Errors
    /// webpki rejects a CA or a revocation list.
    pub(crate) fn new(
        auth: &ClientAuth,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let anchors =
            Anchors::new(&auth.ca_certificates).map_err(|_| VerifierBuilderError::NoRootAnchors)?;
        let webpki = match anchors.store.is_empty() {
            true => None,
            false => {
                let roots = Arc::clone(&anchors.store);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let lists = auth.crls.iter().cloned();
                Some(
                    builder
                        .with_crls(lists)
                        .enforce_revocation_expiration()
                        .build()?,
                )
            }
        };
        let hints = anchors.subjects();
        Ok(Self {
            auth: auth.clone(),
            anchors,
            webpki,
            provider,
            hints,
        })
    }

    /// Whether `auth` trusts exactly the same clients.
    pub(crate) fn is(&self, auth: &ClientAuth) -> bool {
        let mine = &self.auth;
        mine.mode == auth.mode
            && mine.ca_certificates == auth.ca_certificates
            && mine.crls == auth.crls
    }

    /// The identity of the client with this chain, leaf first; `None` for a client without
    /// certificate where that is allowed.
    ///
    /// # Errors
    /// The client is not trusted, or a certificate is required and missing.
    pub(crate) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Option<Identity>, Error> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return match self.auth.mode {
                ClientAuthMode::Required => Err(Error::NoCertificatesPresented),
                ClientAuthMode::Optional => Ok(None),
            };
        };
        self.identify(leaf, intermediates, now)
            .map(|(identity, _)| Some(identity))
    }

    /// The identity, and when the first certificate of the chain expires.
    fn identify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(Identity, u64), Error> {
        let named = self.anchors.name(leaf);
        match &self.webpki {
            _ if named => anchors::check(leaf, now, Purpose::Client),
            Some(webpki) => webpki
                .verify_client_cert(leaf, intermediates, now)
                .map(|_| ()),
            None => Err(CertificateError::UnknownIssuer.into()),
        }?;
        let certificate = certificate::parse(leaf).map_err(|_| CertificateError::BadEncoding)?;
        if named {
            self.not_revoked(&certificate)?;
        }
        let usage = certificate
            .extended_key_usage()
            .map_err(|_| CertificateError::BadEncoding)?;
        if !usage.is_some_and(|usage| usage.value.client_auth) {
            return Err(CertificateError::InvalidPurpose.into());
        }
        let identity =
            identity::of(&certificate, leaf).map_err(|_| CertificateError::BadEncoding)?;
        if spiffe_ids(&identity) > 1 {
            return Err(CertificateError::Other(OtherError(Arc::new(
                Rejection::MultipleSpiffeIds,
            )))
            .into());
        }
        let end = |certificate: &X509Certificate<'_>| certificate.validity().not_after.timestamp();
        let above = intermediates
            .iter()
            .map(|one| certificate::parse(one).map_or(0, |one| end(&one)));
        let end = above.fold(end(&certificate), i64::min);
        Ok((identity, u64::try_from(end).unwrap_or(0)))
    }
}

impl Trust {
    /// Checks a certificate of `caFiles` that a client presents against the revocation lists. A
    /// self-signed certificate has no CA above it, so it needs no list; it is revoked by removing
    /// it from the file.
    fn not_revoked(&self, certificate: &X509Certificate<'_>) -> Result<(), Error> {
        let issuer = certificate.issuer().as_raw();
        let lists = self
            .auth
            .crls
            .iter()
            .filter_map(|der| CertificateRevocationList::from_der(der).ok());
        for (_, list) in lists.filter(|(_, list)| list.issuer().as_raw() == issuer) {
            let mut revoked = list.iter_revoked_certificates();
            if revoked.any(|one| one.raw_serial() == certificate.raw_serial()) {
                return Err(CertificateError::Revoked.into());
            }
        }
        match self.auth.crls.is_empty() || issuer == certificate.subject().as_raw() {
            true => Ok(()),
            false => Err(CertificateError::UnknownRevocationStatus.into()),
        }
    }
}

/// URI schemes are case-insensitive (RFC 3986 section 3.1).
fn spiffe_ids(identity: &Identity) -> usize {
    let is_spiffe = |uri: &&Arc<str>| {
        uri.get(..9)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"))
    };
    identity.uris.iter().filter(is_spiffe).count()
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("mode", &self.auth.mode)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Trust {
    fn client_auth_mandatory(&self) -> bool {
        self.auth.mode == ClientAuthMode::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.identify(leaf, intermediates, now);
        let _ = NOTES.try_with(|notes| {
            let mut presented = notes.presented.borrow_mut();
            presented.certificate = Some(leaf.clone().into_owned());
            if let Ok((identity, end)) = &verdict {
                presented.identity = Some(identity.clone());
                notes.chain_end.set(*end);
            }
        });
        verdict.map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
