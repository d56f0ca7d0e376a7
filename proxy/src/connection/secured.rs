//! What TLS has found out about a connection, and whether that still holds.

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

/// The client of a connection under TLS.
pub(crate) struct Secured {
    /// The client's certificates, leaf first; empty for one that has shown none.
    chain: Vec<CertificateDer<'static>>,
    identity: Option<Arc<Identity>>,
    /// The server name that the client asked for, in lower case and without a dot at its end.
    server_name: Option<Box<str>>,
    /// What the app is told about the client.
    forwarded: ForwardedIdentity,
    /// By whose trust the client was judged last.
    judge: RefCell<Option<Arc<Trust>>>,
    /// The verdict.
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

    /// Whether the client is still believed by `trust`; asked again only when that is another one than before.
    ///
    /// # Errors
    /// The verdict has just changed.
    pub(crate) fn judge(&self, trust: Option<&Arc<Trust>>) -> Result<bool, Error> {
        let same = match (self.judge.borrow().as_ref(), trust) {
            (Some(last), Some(trust)) => Arc::ptr_eq(last, trust),
            (None, None) => true,
            _ => false,
        };
        // One verdict against it is the last: the connection is ending.
        if same || !self.believed.get() {
            return Ok(self.believed.get());
        }
        self.judge.replace(trust.cloned());
        // Without trust nobody asks clients who they are, and nobody is told.
        let Some(trust) = trust else { return Ok(true) };
        let verdict = trust.verify(&self.chain, UnixTime::now());
        self.believed.set(verdict.is_ok());
        verdict.map(|_| true)
    }

    /// What decisions see of it.
    pub(crate) fn tls(&self) -> Tls<'_> {
        Tls {
            server_name: self.server_name.as_deref(),
            identity: self.identity(),
            forwarded: &self.forwarded,
        }
    }

    /// The leaf of the client's certificates.
    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    /// Who the client is, while somebody vouches for it.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity
            .as_ref()
            .filter(|_| self.believed.get() && self.judge.borrow().is_some())
    }
}
