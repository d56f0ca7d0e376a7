//! What is told about TLS connections that were refused.
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

/// One connection that was refused.
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
    queue: mpsc::Sender<Note>,
    lost: Arc<AtomicU64>,
}

impl Notes {
    /// Leaves one, or counts that there is no room for it.
    pub(crate) fn leave(&self, note: Note) {
        if self.queue.try_send(note).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Who tells them.
pub(crate) struct Teller {
    queue: mpsc::Receiver<Note>,
    lost: Arc<AtomicU64>,
    rate: Rate,
}

impl Teller {
    /// A teller, and where notes for it are left.
    pub(crate) fn new() -> (Self, Notes) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let notes = Notes { queue: sender, lost: Arc::clone(&lost) };
        (Self { queue, lost, rate: Rate::default() }, notes)
    }

    /// The next note; for ever when nobody can leave one.
    pub(crate) async fn next(&mut self) -> Note {
        match self.queue.recv().await {
            Some(note) => note,
            None => std::future::pending().await,
        }
    }

    /// Tells it, unless there were too many.
    pub(crate) fn tell(&mut self, note: &Note) {
        if !self.rate.admits(Instant::now()) {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
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
    if let Some(error) = &note.error {
        text.push_str(&format!(" ({})", describe::shown(&error.to_string())));
    }
    if let Some(certificate) = &note.certificate {
        text.push_str(&format!("; {}", describe::certificate(certificate)));
    }
    if left_out > 0 {
        text.push_str(&format!("; {left_out} more before it were not logged"));
    }
    text
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
            "the client's certificate is not for clients: it lacks the extended key usage clientAuth"
        }
        Failure::MultipleSpiffeIds => "the client's certificate has more than one SPIFFE ID",
        Failure::BadCertificate => "the client's certificate cannot be used",
        Failure::NotTls => "the client does not speak TLS; an http:// address on this port?",
        Failure::ProtocolVersion => "the client speaks no TLS version that is allowed here",
        Failure::NoSharedCipher => "client and proxy have no cipher, key exchange or signature in common",
        Failure::NoSharedProtocol => "the client speaks neither h2 nor http/1.1",
        Failure::ClientAlertUnknownCa => "the client does not know who signed the proxy's certificate",
        Failure::ClientAlertBadCertificate => "the client does not accept the proxy's certificate",
        Failure::ClientAlertOther => "the client gave up",
        Failure::Timeout => "it took longer than timeouts.tlsHandshake",
        Failure::Closed => "the client went away",
        Failure::Protocol => "the client broke the protocol",
        Failure::Other => "the library failed",
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
        if self.since.is_none_or(|since| now.duration_since(since) >= STRETCH) {
            *self = Self { since: Some(now), lines: 0 };
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
        Note { listener, peer, failure: Failure::UnknownCa, error: None, certificate: None, live: false }
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
        assert!(text.ends_with("; 3 more before it were not logged"), "{text}");
        assert!(text.len() < 1024 && !text.contains('\n'), "{text}");
    }
}
