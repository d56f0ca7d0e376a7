//! The TLS state of a connection, and whether its client is still trusted.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use outrigger_config::model::Scheme;
use outrigger_decision::{ForwardedIdentity, Tls};
use outrigger_filters::{host, identity::Identity};
use rustls::Error;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::tls::verify::Trust;

/// The client of a TLS connection.
pub(crate) struct Secured {
    /// The client's certificates, leaf first; empty without a client certificate.
    chain: Vec<CertificateDer<'static>>,
    identity: Option<Arc<Identity>>,
    /// The server name (SNI) of the client, in lower case and without a dot at its end.
    server_name: Option<Box<str>>,
    /// The identity that is forwarded to the app.
    forwarded: ForwardedIdentity,
    /// The trust settings of the last check.
    trust: RefCell<Option<Arc<Trust>>>,
    /// The result of the last check.
    trusted: Cell<bool>,
}

impl Secured {
    /// A connection whose handshake `verify` has accepted.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
        server_name: Option<&str>,
        by: Option<Arc<str>>,
        trust: Option<Arc<Trust>>,
    ) -> Self {
        Self {
            chain,
            identity: identity.map(Arc::new),
            server_name: server_name.map(|name| host::canonical(name, Scheme::Https).into()),
            forwarded: ForwardedIdentity::new(by),
            trust: RefCell::new(trust),
            trusted: Cell::new(true),
        }
    }

    /// Whether `trust` still accepts the client; verified only when `trust` differs from the last
    /// one.
    ///
    /// # Errors
    /// The client was accepted before and is rejected now.
    pub(crate) fn verify(&self, trust: Option<&Arc<Trust>>) -> Result<bool, Error> {
        let same = match (self.trust.borrow().as_ref(), trust) {
            (Some(last), Some(trust)) => Arc::ptr_eq(last, trust),
            (None, None) => true,
            _ => false,
        };
        // A rejection is final: the connection is closing.
        if same || !self.trusted.get() {
            return Ok(self.trusted.get());
        }
        self.trust.replace(trust.cloned());
        // Without client authentication there is nothing to verify, and identities are not
        // forwarded.
        let Some(trust) = trust else { return Ok(true) };
        let verdict = trust.verify(&self.chain, UnixTime::now());
        self.trusted.set(verdict.is_ok());
        verdict.map(|_| true)
    }

    /// The TLS facts that decisions use.
    pub(crate) fn tls(&self) -> Tls<'_> {
        Tls {
            server_name: self.server_name.as_deref(),
            identity: self.identity(),
            forwarded: &self.forwarded,
        }
    }

    /// The client's own certificate.
    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    /// The identity of the client, while it is trusted.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity
            .as_ref()
            .filter(|_| self.trusted.get() && self.trust.borrow().is_some())
    }
}
