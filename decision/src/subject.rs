//! What is known about a client beside the head of its request: what a decision sees of a connection.

use std::{cell::OnceCell, net::IpAddr, sync::Arc};

use http::HeaderValue;
use outrigger_config::model::{Listener, ListenerId};
use outrigger_filters::identity::{self, Identity};

/// The client of one request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The listener that it came through.
    pub listener: ListenerId,
    /// The peer of the connection; IPv4-mapped addresses as IPv4.
    pub peer: IpAddr,
    /// The peer as a header value, made once for a connection by
    /// [`peer_value`](outrigger_filters::client_address::peer_value).
    pub peer_value: &'a HeaderValue,
    /// What TLS has found out; `None` without TLS.
    pub tls: Option<Tls<'a>>,
}

/// What a TLS handshake has found out.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// The server name that the client asked for (RFC 6066), in lower case and without a dot at its end.
    pub server_name: Option<&'a str>,
    /// The client, by a certificate that is trusted at this moment.
    pub identity: Option<&'a Arc<Identity>>,
    /// What the proxy tells the app about it.
    pub forwarded: &'a ForwardedIdentity,
}

/// `X-Forwarded-Client-Cert` of one connection, made when it is first sent.
#[derive(Debug, Default)]
pub struct ForwardedIdentity {
    value: OnceCell<Option<HeaderValue>>,
    /// The URI of the proxy's own certificate, where it has one.
    by: Option<Arc<str>>,
}

impl ForwardedIdentity {
    /// Of a connection on which the proxy has shown a certificate with this URI.
    pub fn new(by: Option<Arc<str>>) -> Self {
        Self {
            value: OnceCell::new(),
            by,
        }
    }
}

impl Subject<'_> {
    /// `X-Forwarded-Client-Cert`, where the listener's `clientAuth.forwardIdentity` asks for it.
    pub fn forwarded_certificate(&self, listener: &Listener) -> Option<HeaderValue> {
        let tls = self.tls.as_ref()?;
        let auth = listener.tls.as_ref()?.client_auth.as_ref()?;
        let identity = tls.identity.filter(|_| auth.forward_identity)?;
        let value = || identity::forwarded_client_cert(identity, tls.forwarded.by.as_deref());
        tls.forwarded.value.get_or_init(value).clone()
    }
}
