//! Reports of failed handshakes, for the program that uses the connections.

use std::{fmt, sync::Arc};

use rustls::Error;
use rustls_pki_types::CertificateDer;

use super::failure::ServerFailure;

/// Receives reports of failed handshakes with servers. Called on the thread of the connection, so
/// it must not block.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A handshake failed, or TLS closed a connection with an error.
    fn failed(&self, report: FailedHandshake);
}

/// A failed TLS connection to a server.
#[derive(Debug)]
pub struct FailedHandshake {
    /// The upstream, or another purpose of the connection.
    pub upstream: Arc<str>,
    /// The authority of the server.
    pub server: Box<str>,
    /// The reason.
    pub failure: ServerFailure,
    /// The error of the library.
    pub error: Option<Error>,
    /// The server's certificate.
    pub certificate: Option<CertificateDer<'static>>,
}
