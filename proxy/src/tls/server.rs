//! The TLS settings of one listener, towards clients.

use std::{fmt, sync::Arc};

use outrigger_config::model::{ServerTls, TlsVersion};
use outrigger_transport::tls::{message, provider};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, ProducesTickets, VerifierBuilderError, WebPkiClientVerifier},
    version,
};

use super::{certificates::Certificates, tickets::ChainTickets, verify::Trust};

/// Tickets that a client gets with TLS 1.3 at the end of its handshake. A sidecar's clients keep
/// their connections, so one is enough.
const TICKETS: usize = 1;

/// ALPN protocols in order of preference (RFC 7301).
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Why a listener's TLS settings cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Key, versions or cipher suites do not match.
    #[error("certificate, key, versions and cipher suites do not match{}", message::suffix(.0))]
    Library(#[from] rustls::Error),
    /// The verifier rejects a CA or a revocation list.
    #[error("clientAuth: {0}")]
    ClientAuth(#[from] VerifierBuilderError),
}

pub(crate) struct Tls {
    model: Arc<ServerTls>,
    /// The settings of handshakes.
    pub config: Arc<ServerConfig>,
    /// The server certificates.
    pub certificates: Arc<Certificates>,
    /// Trust in client certificates; `None`: clients present no certificate.
    pub trust: Option<Arc<Trust>>,
    tickets: Arc<dyn ProducesTickets>,
}

impl Tls {
    /// Builds `model`. Unchanged trust is kept together with the ticket keys: a session of the old
    /// configuration is resumed in the new one only if the new one trusts the same clients.
    ///
    /// # Errors
    /// The library rejects the accepted configuration.
    pub(crate) fn build(
        model: &Arc<ServerTls>,
        old: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsError> {
        if let Some(old) = old.filter(|old| old.model == *model) {
            return Ok(Arc::clone(old));
        }
        let provider = provider();
        let old = old.filter(|old| old.trusts_same_as(model));
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
        config.ignore_client_order = true; // clients with AES in hardware lose nothing
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Tickets only: a session that the client stores needs no memory here, and works with every
        // worker.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&tickets);
        config.send_tls13_tickets = TICKETS;
        // A request in early data could be replayed (RFC 8446 section 8).
        config.max_early_data_size = 0;
        Ok(Arc::new(Self {
            model: Arc::clone(model),
            config: Arc::new(config),
            certificates,
            trust,
            tickets,
        }))
    }

    fn trusts_same_as(&self, model: &ServerTls) -> bool {
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
