//! TLS towards clients: one listener's, as it is served.

use std::{fmt, sync::Arc};

use outrigger_config::model::{ServerTls, TlsVersion};
use outrigger_transport::tls::{provider, words};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, ProducesTickets, VerifierBuilderError, WebPkiClientVerifier},
    version,
};

use super::{certificates::Certificates, tickets::ChainTickets, verify::Trust};

/// Tickets that a client gets with TLS 1.3 when its handshake ends. A sidecar's clients keep their connections, so one
/// is enough to come back.
const TICKETS: usize = 1;

/// Protocols, in the order in which we prefer them (RFC 7301).
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Why a listener's TLS could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The key, the versions or the suites do not go together.
    #[error("certificate, key, versions and cipher suites do not go together{}", words::behind(.0))]
    Library(#[from] rustls::Error),
    /// An authority or a revocation list was not taken.
    #[error("clientAuth: {0}")]
    ClientAuth(#[from] VerifierBuilderError),
}

/// One listener's TLS.
pub(crate) struct Tls {
    model: Arc<ServerTls>,
    /// What handshakes are made with.
    pub config: Arc<ServerConfig>,
    /// What is shown.
    pub certificates: Arc<Certificates>,
    /// Who is believed; `None`: clients present no certificate.
    pub trust: Option<Arc<Trust>>,
    tickets: Arc<dyn ProducesTickets>,
}

impl Tls {
    /// Builds `model`. Trust that did not change is kept, and with it the ticket keys: a session of the old
    /// configuration is resumed in the new one only if the new one would believe the same clients.
    ///
    /// # Errors
    /// What was accepted does not work together after all.
    pub(crate) fn build(
        model: &Arc<ServerTls>,
        old: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsError> {
        if let Some(old) = old.filter(|old| old.model == *model) {
            return Ok(Arc::clone(old));
        }
        let provider = provider();
        let old = old.filter(|old| old.believes_as(model));
        let trust = match (&model.client_auth, old) {
            (Some(_), Some(old)) => old.trust.clone(),
            (Some(auth), None) => Some(Arc::new(Trust::new(auth, Arc::clone(&provider))?)),
            (None, _) => None,
        };
        let tickets = match old {
            Some(old) => Arc::clone(&old.tickets),
            None if trust.is_some() => Arc::new(ChainTickets::new(Ticketer::new()?)),
            None => Ticketer::new()?,
        };
        let certificates = Arc::new(Certificates::new(model, &provider)?);
        let versions: &[_] = match model.min_version {
            TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::Tls13 => &[&version::TLS13],
        };
        let verifier = match &trust {
            Some(trust) => Arc::clone(trust) as _,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.ignore_client_order = true; // both ends have AES in hardware, as good as always
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Tickets alone: what the client keeps costs us no memory and works with every worker.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&tickets);
        config.send_tls13_tickets = TICKETS;
        config.max_early_data_size = 0; // a request in early data could be played again (RFC 8446 section 8)
        Ok(Arc::new(Self {
            model: Arc::clone(model),
            config: Arc::new(config),
            certificates,
            trust,
            tickets,
        }))
    }

    fn believes_as(&self, model: &ServerTls) -> bool {
        match (&self.trust, &model.client_auth) {
            (Some(trust), Some(auth)) => trust.is(auth),
            (None, None) => true,
            _ => false,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}
