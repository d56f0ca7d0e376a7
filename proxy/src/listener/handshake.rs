//! The TLS handshake of one connection, from its first byte to the identity of the client.

use std::{io, net::IpAddr, rc::Rc, sync::Arc};

use outrigger_filters::identity::Identity;
use rustls::{Error, HandshakeKind, ServerConnection};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::{io::AsyncWriteExt, time::Instant};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    first::{First, before, first_byte},
    http1,
    protocol::Alpn,
};
use crate::{
    connection::{
        io::{ClientIo, Wire},
        listener::ListenerLocal,
        secured::Secured,
    },
    respond,
    telemetry::handshakes::{Failure, Handshake},
    tls::{
        failure,
        report::{ClientFailure, TlsEvent},
        server::{HTTP2, Tls},
        verify,
    },
    worker::Worker,
};

/// The first byte of every TLS connection: the record type of a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// The parties of a handshake.
pub(super) struct Parties<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) listener: &'a Rc<ListenerLocal>,
    pub(super) peer: IpAddr,
}

/// A connection after its handshake.
pub(super) struct TlsSession {
    pub(super) io: ClientIo,
    pub(super) secured: Secured,
    /// The protocol that ALPN selected.
    pub(super) alpn: Alpn,
}

/// Performs the handshake until `deadline`. `None`: it failed and was counted and reported, or the
/// client sent nothing.
pub(super) async fn perform(
    parties: Parties<'_>,
    tls: &Arc<Tls>,
    wire: Wire,
    deadline: Option<Instant>,
) -> Option<TlsSession> {
    match first_byte(parties.listener, wire.socket(), deadline).await {
        First::Byte(HANDSHAKE_RECORD) => {}
        First::Byte(first) => {
            parties.failed(Failure::NotTls, None, None);
            respond_in_plaintext(wire, first).await;
            return None;
        }
        First::Nothing => return None,
        First::TooLate => {
            parties.failed(Failure::Timeout, None, None);
            return None;
        }
    }
    let accept = TlsAcceptor::from(Arc::clone(&tls.config))
        .accept(wire)
        .into_fallible();
    let (accept, presented) = verify::observe(before(deadline, accept)).await;
    match accept {
        Some(Ok(stream)) => parties.accept(tls, Box::new(stream), presented.identity),
        Some(Err((error, wire))) => {
            let said = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Error>())
                .cloned();
            parties.failed(failure::of_io(&error), said, presented.certificate);
            // An alert with the reason was sent; closing while the client still sends would destroy
            // it.
            http1::linger(ClientIo::plain(wire)).await;
            None
        }
        None => {
            parties.failed(Failure::Timeout, None, presented.certificate);
            None
        }
    }
}

impl Parties<'_> {
    /// Verifies the client after the library has accepted the handshake.
    fn accept(
        &self,
        tls: &Tls,
        stream: Box<TlsStream<Wire>>,
        presented: Option<Identity>,
    ) -> Option<TlsSession> {
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let chain: Vec<_> = session.peer_certificates().unwrap_or_default().to_vec();
        let identity = match &tls.trust {
            // In a resumed handshake the library does not verify the chain of the ticket.
            Some(trust) if resumed => trust.verify(&chain, UnixTime::now()),
            _ => Ok(presented),
        };
        match identity {
            Ok(identity) => {
                self.count(if resumed {
                    Handshake::Resumed
                } else {
                    Handshake::Full
                });
                let (name, alpn) = (session.server_name(), alpn(session));
                let by = tls.certificates.choose(name).uris.first().cloned();
                let secured = Secured::new(chain, identity, name, by, tls.trust.clone());
                Some(TlsSession {
                    io: ClientIo::tls(stream),
                    secured,
                    alpn,
                })
            }
            Err(error) => {
                self.failed(failure::of(&error), Some(error), chain.into_iter().next());
                ClientIo::tls(stream).close_notify();
                None
            }
        }
    }

    fn count(&self, end: Handshake) {
        self.listener.shared.counters.handshakes.count(end);
    }

    fn failed(
        &self,
        failure: Failure,
        error: Option<Error>,
        certificate: Option<CertificateDer<'static>>,
    ) {
        self.count(Handshake::Failed(failure));
        let listener = Arc::clone(&self.listener.shared.name);
        self.worker
            .tls_events
            .report(TlsEvent::Client(ClientFailure {
                listener,
                peer: self.peer,
                failure,
                error,
                certificate,
                live: false,
            }));
    }
}

fn alpn(session: &ServerConnection) -> Alpn {
    match session.alpn_protocol() {
        Some(protocol) if protocol == HTTP2 => Alpn::Http2,
        Some(_) => Alpn::Http1,
        None => Alpn::Unknown,
    }
}

/// Responds 400 to a client that speaks HTTP; closes any other connection.
async fn respond_in_plaintext(wire: Wire, first: u8) {
    let mut io = ClientIo::plain(wire);
    if first.is_ascii_uppercase() {
        let _: io::Result<()> = io.write_all(respond::NOT_TLS).await;
    }
    http1::linger(io).await;
}
