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
    judge: RefCell<Option<Arc<Trust>>>,
    /// The result of the last check.
    believed: Cell<bool>,
}

impl Secured {
    /// A connection whose handshake `judge` has accepted.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
        server_name: Option<&str>,
        by: Option<Arc<str>>,
        judge: Option<Arc<Trust>>,
    ) -> Self {
        Self {
            chain,
            identity: identity.map(Arc::new),
            server_name: server_name.map(|name| host::canonical(name, Scheme::Https).into()),
            forwarded: ForwardedIdentity::new(by),
            judge: RefCell::new(judge),
            believed: Cell::new(true),
        }
    }

    /// Whether `trust` still accepts the client; verified only when `trust` differs from the last
    /// one.
    ///
    /// # Errors
    /// The client was accepted before and is rejected now.
    pub(crate) fn judge(&self, trust: Option<&Arc<Trust>>) -> Result<bool, Error> {
        let same = match (self.judge.borrow().as_ref(), trust) {
            (Some(last), Some(trust)) => Arc::ptr_eq(last, trust),
            (None, None) => true,
            _ => false,
        };
        // A rejection is final: the connection is closing.
        if same || !self.believed.get() {
            return Ok(self.believed.get());
        }
        self.judge.replace(trust.cloned());
        // Without client authentication there is nothing to verify, and identities are not
        // forwarded.
        let Some(trust) = trust else { return Ok(true) };
        let verdict = trust.verify(&self.chain, UnixTime::now());
        self.believed.set(verdict.is_ok());
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
            .filter(|_| self.believed.get() && self.judge.borrow().is_some())
    }
}
