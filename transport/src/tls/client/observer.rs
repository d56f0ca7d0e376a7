//! Failed handshakes, as reported to the program that uses the connections.

use std::{fmt, sync::Arc};

use rustls::Error;
use rustls_pki_types::CertificateDer;

use super::failure::ServerFailure;

/// Takes reports of failed handshakes with servers. Called on the thread of the connection, so it must not wait.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A handshake failed, or a connection broke for a reason of TLS.
    fn failed(&self, report: FailedHandshake);
}

/// One connection to a server that TLS failed on.
#[derive(Debug)]
pub struct FailedHandshake {
    /// The upstream, or what else the connection was for.
    pub upstream: Arc<str>,
    /// The server that was asked for.
    pub server: Box<str>,
    /// Why.
    pub failure: ServerFailure,
    /// What the library says.
    pub error: Option<Error>,
    /// The server's certificate.
    pub certificate: Option<CertificateDer<'static>>,
}
