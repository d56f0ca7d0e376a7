//! TLS sessions with the endpoints of one upstream, for resumption.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    NamedGroup,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
    },
};
use rustls_pki_types::ServerName;

/// Number of servers whose sessions are kept, a few of each.
const SERVERS: usize = 32;

/// Sessions, shared by all workers. Used when a connection is opened, never for a request on an
/// open one.
#[derive(Debug)]
pub(super) struct Sessions(ArcSwap<ClientSessionMemoryCache>);

impl Default for Sessions {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(ClientSessionMemoryCache::new(
            SERVERS,
        )))
    }
}

impl Sessions {
    /// Drops all sessions: their certificates are no longer trusted.
    pub(super) fn forget(&self) {
        self.0
            .store(Arc::new(ClientSessionMemoryCache::new(SERVERS)));
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.load().set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.load().kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.load().set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.load().tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.load().remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.load().insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.load().take_tls13_ticket(server)
    }
}
