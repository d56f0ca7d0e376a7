//! The client and its connection: everything about a request that is not in its head.

use std::{cell::OnceCell, net::IpAddr, sync::Arc};

use http::HeaderValue;
use outrigger_config::model::{Listener, ListenerId};
use outrigger_filters::identity::{self, Identity};

/// The client of one request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The peer of the connection; IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The peer as a header value, created once for a connection by
    /// [`peer_value`](outrigger_filters::client_address::peer_value).
    pub peer_value: &'a HeaderValue,
    /// Facts about the TLS connection; `None` without TLS.
    pub tls: Option<Tls<'a>>,
}

/// Facts from a TLS handshake.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// The server name that the client requested (RFC 6066), in lower case and without a trailing
    /// dot.
    pub server_name: Option<&'a str>,
    /// The client's identity, from a certificate that is trusted now.
    pub identity: Option<&'a Arc<Identity>>,
    /// The client certificate header for the app.
    pub forwarded: &'a ForwardedIdentity,
}

/// `X-Forwarded-Client-Cert` of one connection, created when it is first sent.
#[derive(Debug, Default)]
pub struct ForwardedIdentity {
    value: OnceCell<Option<HeaderValue>>,
    /// The URI of the proxy's own certificate, if it has one.
    by: Option<Arc<str>>,
}

impl ForwardedIdentity {
    /// For a connection on which the proxy presented a certificate with this URI.
    pub fn new(by: Option<Arc<str>>) -> Self {
        Self {
            value: OnceCell::new(),
            by,
        }
    }
}

impl Subject<'_> {
    /// `X-Forwarded-Client-Cert`, if the listener's `clientAuth.forwardIdentity` enables it.
    pub fn forwarded_certificate(&self, listener: &Listener) -> Option<HeaderValue> {
        let tls = self.tls.as_ref()?;
        let auth = listener.tls.as_ref()?.client_auth.as_ref()?;
        let identity = tls.identity.filter(|_| auth.forward_identity)?;
        let value = || identity::forwarded_client_cert(identity, tls.forwarded.by.as_deref());
        tls.forwarded.value.get_or_init(value).clone()
    }
}
