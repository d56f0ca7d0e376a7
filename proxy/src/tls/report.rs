//! TLS failures in the operational log, with clients and with endpoints.

use std::{net::IpAddr, sync::Arc};

use outrigger_transport::tls::{
    client::{FailedHandshake, Observer},
    message,
};
use rustls::Error;
use rustls_pki_types::CertificateDer;

use super::describe;
use crate::telemetry::{
    events::{Events, Logged, Lost},
    handshakes::{Failure, reason_of},
};

/// The queue of TLS failures.
pub(crate) type TlsEvents = Events<TlsEvent>;

/// A TLS connection failed.
#[derive(Debug)]
pub(crate) enum TlsEvent {
    Client(ClientFailure),
    Upstream(FailedHandshake),
}

/// A client connection was rejected.
#[derive(Debug)]
pub(crate) struct ClientFailure {
    pub listener: Arc<str>,
    /// The client's address.
    pub peer: IpAddr,
    pub failure: Failure,
    /// The error of the library.
    pub error: Option<Error>,
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether the handshake had been accepted before.
    pub live: bool,
}

impl Observer for Events<TlsEvent> {
    fn failed(&self, report: FailedHandshake) {
        self.report(TlsEvent::Upstream(report));
    }
}

impl Logged for TlsEvent {
    fn log(&self, lost: Lost) {
        match self {
            Self::Client(event) => event.log(lost),
            Self::Upstream(event) => {
                let (upstream, server, reason) =
                    (&event.upstream, &event.server, event.failure.as_str());
                tracing::warn!(%upstream, %server, reason, "{}{lost}", upstream_line(event));
            }
        }
    }
}

impl Logged for ClientFailure {
    fn log(&self, lost: Lost) {
        let (listener, peer, reason) = (&self.listener, self.peer, self.failure.as_str());
        let text = client_line(self);
        match self.failure {
            // Port scanners, and clients that changed their mind.
            Failure::Closed => tracing::info!(%listener, %peer, reason, "{text}{lost}"),
            _ => tracing::warn!(%listener, %peer, reason, "{text}{lost}"),
        }
    }
}

fn client_line(event: &ClientFailure) -> String {
    let what = match event.live {
        true => "TLS connection closed, its client is no longer trusted",
        false => "TLS handshake failed",
    };
    let explained = plain(event.failure.meaning());
    let (error, certificate) = (event.error.as_ref(), event.certificate.as_ref());
    format!("{what}: {explained}{}", evidence(error, certificate))
}

fn upstream_line(event: &FailedHandshake) -> String {
    let explained = plain(reason_of(event.failure).meaning());
    let (error, certificate) = (event.error.as_ref(), event.certificate.as_ref());
    let evidence = evidence(error, certificate);
    format!("no TLS with the endpoint: {explained}{evidence}")
}

/// A sentence of the documentation as part of another one: without Markdown, capital letter and
/// full stop.
fn plain(meaning: &str) -> String {
    let text = meaning.trim_end_matches('.').replace('`', "");
    match text.chars().next() {
        Some(first) => first.to_lowercase().chain(text.chars().skip(1)).collect(),
        None => text,
    }
}

/// The error of the library, and the certificate that it is about.
fn evidence(error: Option<&Error>, certificate: Option<&CertificateDer<'_>>) -> String {
    let mut text = String::new();
    if let Some(message) = error.and_then(message::of) {
        text.push_str(&format!(" ({})", describe::printable(&message)));
    }
    if let Some(certificate) = certificate {
        text.push_str(&format!("; {}", describe::certificate(certificate)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_and_what_the_library_says_on_one_line() {
        let event = ClientFailure {
            listener: "public".into(),
            peer: [192, 0, 2, 7].into(),
            failure: Failure::UnknownCa,
            error: Some(Error::General("a\nb".repeat(4000))),
            certificate: None,
            live: false,
        };
        let text = client_line(&event);
        assert!(
            text.starts_with("TLS handshake failed: no certificate of clientAuth.caFiles signed"),
            "{text}"
        );
        assert!(text.len() < 1024 && !text.contains('\n'), "{text}");
    }
}
