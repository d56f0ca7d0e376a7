//! What is told about TLS connections that came to nothing, with clients and with endpoints.
//!
//! A worker only leaves a note: writing a line may wait for whoever reads stderr, and nothing on a worker waits. The
//! queue is bounded, lines have a rate, and what was left out is counted in the next line.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outrigger_transport::tls::{
    client::{FailedHandshake, Observer, ServerFailure},
    words,
};
use rustls::Error;
use rustls_pki_types::CertificateDer;
use tokio::{sync::mpsc, time::Instant};

use super::describe;
use crate::telemetry::handshakes::Failure;

/// Notes that wait to be told.
const QUEUE: usize = 64;

/// Lines in one stretch of time.
const LINES: u32 = 20;
const STRETCH: Duration = Duration::from_secs(1);

/// One connection that came to nothing.
#[derive(Debug)]
pub(crate) enum Told {
    /// With a client.
    Client(Note),
    /// With an endpoint.
    Upstream(FailedHandshake),
}

/// One connection of a client that was refused.
#[derive(Debug)]
pub(crate) struct Note {
    /// The listener.
    pub listener: Arc<str>,
    /// The client.
    pub peer: IpAddr,
    /// Why.
    pub failure: Failure,
    /// What the library says.
    pub error: Option<Error>,
    /// The client's certificate.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether it was served before.
    pub live: bool,
}

/// Where workers leave notes.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    queue: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
}

impl Notes {
    /// Leaves one, or counts that there is no room for it.
    pub(crate) fn leave(&self, note: Note) {
        self.put(Told::Client(note));
    }

    fn put(&self, told: Told) {
        if self.queue.try_send(told).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

impl Observer for Notes {
    fn failed(&self, report: FailedHandshake) {
        self.put(Told::Upstream(report));
    }
}

/// Who tells them.
pub(crate) struct Teller {
    queue: mpsc::Receiver<Told>,
    lost: Arc<AtomicU64>,
    rate: Rate,
}

impl Teller {
    /// A teller, and where notes for it are left.
    pub(crate) fn new() -> (Self, Notes) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let notes = Notes {
            queue: sender,
            lost: Arc::clone(&lost),
        };
        (
            Self {
                queue,
                lost,
                rate: Rate::default(),
            },
            notes,
        )
    }

    /// The next note; for ever when nobody can leave one.
    pub(crate) async fn next(&mut self) -> Told {
        match self.queue.recv().await {
            Some(note) => note,
            None => std::future::pending().await,
        }
    }

    /// Tells it, unless there were too many.
    pub(crate) fn tell(&mut self, told: &Told) {
        if !self.rate.admits(Instant::now()) {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        let note = match told {
            Told::Client(note) => note,
            Told::Upstream(note) => {
                let (upstream, server, reason) =
                    (&note.upstream, &note.server, note.failure.as_str());
                let text = upstream_line(note, self.lost.swap(0, Relaxed));
                tracing::warn!(%upstream, %server, reason, "{text}");
                return;
            }
        };
        let (listener, peer, reason) = (&note.listener, note.peer, note.failure.as_str());
        let text = line(note, self.lost.swap(0, Relaxed));
        match note.failure {
            // Scanners, and clients that changed their mind.
            Failure::Closed => tracing::info!(%listener, %peer, reason, "{text}"),
            _ => tracing::warn!(%listener, %peer, reason, "{text}"),
        }
    }
}

fn line(note: &Note, left_out: u64) -> String {
    let mut text = String::from(if note.live {
        "TLS connection is believed no longer: "
    } else {
        "TLS handshake failed: "
    });
    text.push_str(explanation(note.failure));
    evidence(
        &mut text,
        note.error.as_ref(),
        note.certificate.as_ref(),
        left_out,
    );
    text
}

fn upstream_line(note: &FailedHandshake, left_out: u64) -> String {
    let mut text = format!(
        "no TLS with the endpoint: {}",
        upstream_explanation(note.failure)
    );
    evidence(
        &mut text,
        note.error.as_ref(),
        note.certificate.as_ref(),
        left_out,
    );
    text
}

fn evidence(
    text: &mut String,
    error: Option<&Error>,
    certificate: Option<&CertificateDer<'_>>,
    left_out: u64,
) {
    if let Some(words) = error.and_then(words::of) {
        text.push_str(&format!(" ({})", describe::shown(&words)));
    }
    if let Some(certificate) = certificate {
        text.push_str(&format!("; {}", describe::certificate(certificate)));
    }
    if left_out > 0 {
        text.push_str(&format!("; {left_out} more before it were not logged"));
    }
}

/// What it means, and what to do where something can be done.
fn explanation(failure: Failure) -> &'static str {
    match failure {
        Failure::NoCertificate => "the client has no certificate, and clientAuth.mode is required",
        Failure::UnknownCa => {
            "no certificate of clientAuth.caFiles signed the client's, or one between them is missing"
        }
        Failure::Expired => "the client's certificate, or one above it, has expired",
        Failure::NotYetValid => {
            "the client's certificate, or one above it, is not valid yet; are the clocks right?"
        }
        Failure::Revoked => "the client's certificate, or one above it, was revoked",
        Failure::UnknownRevocation => {
            "no list of clientAuth.crlFiles speaks for the client's certificate or one above it"
        }
        Failure::CrlExpired => {
            "the revocation list that speaks for the client's certificate is out of date; renew it"
        }
        Failure::WrongPurpose => {
            "the client's certificate is not for clients: it lacks the extended key usage clientAuth, or its key usage \
             lacks digitalSignature"
        }
        Failure::MultipleSpiffeIds => "the client's certificate has more than one SPIFFE ID",
        Failure::BadCertificate => "the client's certificate cannot be used",
        Failure::NotTls => "the client does not speak TLS; an http:// address on this port?",
        Failure::ProtocolVersion => "the client speaks no TLS version that is allowed here",
        Failure::NoSharedCipher => {
            "client and proxy have no cipher, key exchange or signature in common"
        }
        Failure::NoSharedProtocol => "the client speaks neither h2 nor http/1.1",
        Failure::ClientAlertUnknownCa => {
            "the client does not know who signed the proxy's certificate"
        }
        Failure::ClientAlertBadCertificate => "the client does not accept the proxy's certificate",
        Failure::ClientAlertOther => "the client gave up",
        Failure::Timeout => "it took longer than timeouts.tlsHandshake",
        Failure::Closed => "the client went away",
        Failure::Protocol => "the client broke the protocol",
        Failure::Other => "the library failed",
    }
}

/// The same about an endpoint.
fn upstream_explanation(failure: ServerFailure) -> &'static str {
    match failure {
        ServerFailure::UnknownCa => {
            "no certificate of tls.caFiles (without it the system's roots) signed the endpoint's, or the endpoint \
             does not send those in between"
        }
        ServerFailure::WrongName => {
            "its certificate is for other names than tls.subjectAltNames or, without them, tls.hostname or the URL's \
             host"
        }
        ServerFailure::Expired => "its certificate, or one above it, has expired",
        ServerFailure::NotYetValid => {
            "its certificate, or one above it, is not valid yet; are the clocks right?"
        }
        ServerFailure::WrongPurpose => {
            "its certificate is not for servers: it lacks the extended key usage serverAuth, or its key usage lacks \
             digitalSignature"
        }
        ServerFailure::BadCertificate => "its certificate cannot be used",
        ServerFailure::NotTls => "it does not speak TLS; should the URL begin with http://?",
        ServerFailure::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3",
        ServerFailure::NoSharedCipher => {
            "it has no cipher, key exchange or signature in common with the proxy"
        }
        ServerFailure::NoSharedProtocol => {
            "it does not speak the version of HTTP that is needed: HTTP/2 for gRPC, HTTP/1.1 else"
        }
        ServerFailure::CertificateRequired => {
            "it wants a certificate; write tls.certFile and tls.keyFile"
        }
        ServerFailure::CertificateRefused => "it does not accept the certificate of tls.certFile",
        ServerFailure::UnrecognizedName => "it knows no server of that name",
        ServerFailure::HandshakeRefused => "it gave up; perhaps it wants a certificate",
        ServerFailure::Timeout => "it took longer than connections.connectTimeout",
        ServerFailure::Closed => "it went away",
        ServerFailure::Protocol => "it broke the protocol",
        ServerFailure::Other => "the library failed",
    }
}

/// So many lines in a stretch of time.
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    lines: u32,
}

impl Rate {
    fn admits(&mut self, now: Instant) -> bool {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= STRETCH)
        {
            *self = Self {
                since: Some(now),
                lines: 0,
            };
        }
        self.lines += 1;
        self.lines <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let listener = "public".into();
        let peer = [192, 0, 2, 7].into();
        Note {
            listener,
            peer,
            failure: Failure::UnknownCa,
            error: None,
            certificate: None,
            live: false,
        }
    }

    #[test]
    fn lines_have_a_rate_and_the_queue_a_bound_and_what_is_left_out_is_counted() {
        let (mut teller, notes) = Teller::new();
        let now = Instant::now();
        let told = (0..100).filter(|_| teller.rate.admits(now)).count();
        assert_eq!(told, LINES as usize);
        assert!(teller.rate.admits(now + STRETCH));
        for _ in 0..QUEUE + 5 {
            notes.leave(note());
        }
        assert_eq!(teller.lost.swap(0, Relaxed), 5);
        assert!(teller.queue.try_recv().is_ok());
    }

    #[test]
    fn a_line_says_what_was_left_out_and_what_the_library_says() {
        let error = Some(Error::General("a\nb".repeat(4000)));
        let text = line(&Note { error, ..note() }, 3);
        assert!(
            text.starts_with("TLS handshake failed: no certificate of clientAuth.caFiles signed"),
            "{text}"
        );
        assert!(
            text.ends_with("; 3 more before it were not logged"),
            "{text}"
        );
        assert!(text.len() < 1024 && !text.contains('\n'), "{text}");
    }
}
