//! Results of TLS handshakes: closed sets, counted per listener and per upstream.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use outrigger_transport::tls::client::ServerFailure;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake<F = Failure> {
    /// Full handshake.
    Full,
    /// Resumed from a ticket.
    Resumed,
    /// Failed for this reason.
    Failed(F),
}

/// A closed set of reasons for failed handshakes.
pub(crate) trait Reason: Copy + 'static {
    /// All variants in order.
    const ALL: &'static [Self];

    /// The value of the label `reason`.
    fn as_str(self) -> &'static str;

    /// The index in [`Self::ALL`].
    fn index(self) -> usize;
}

/// Declares the failures once: the type, the list, the label values and their meaning.
macro_rules! failures {
    ($(#[$outer:meta])* $type:ident { $($name:ident = $word:literal $meaning:literal;)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type { $(#[doc = $meaning] $name,)* }

        impl $type {
            /// The value of the label `reason`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What happened and what to do, in Markdown.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }

        impl Reason for $type {
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

failures! {
/// Why a TLS handshake with a client failed, or why a live connection lost the trust in its client.
Failure {
    NoCertificate = "no_certificate" "The client sent no certificate, and `clientAuth.mode` is `required`.";
    UnknownCa = "unknown_ca" "No certificate of `clientAuth.caFiles` signed the certificate of the client, or the client does not send an intermediate certificate.";
    Expired = "expired" "The certificate of the client, or one above it, has expired. Check both clocks.";
    NotYetValid = "not_yet_valid" "The certificate of the client, or one above it, is not valid yet. Check both clocks.";
    Revoked = "revoked" "The certificate of the client, or one above it, was revoked by a list of `clientAuth.crlFiles`.";
    UnknownRevocation = "unknown_revocation" "No list of `clientAuth.crlFiles` is from the issuer of the certificate of the client, or of one above it.";
    CrlExpired = "crl_expired" "The revocation list for the certificate of the client is out of date. Renew it.";
    WrongPurpose = "wrong_purpose" "The certificate of the client is not for clients: it lacks the extended key usage clientAuth, or its key usage lacks digitalSignature.";
    MultipleSpiffeIds = "multiple_spiffe_ids" "The certificate of the client has more than one SPIFFE ID.";
    BadCertificate = "bad_certificate" "The certificate of the client is malformed, or its key did not sign the handshake.";
    NotTls = "not_tls" "The client does not speak TLS: is it an `http://` URL with this port? HTTP/1.1 clients get a 400 that says so.";
    ProtocolVersion = "protocol_version" "The client speaks no TLS version that `minVersion` allows.";
    NoSharedCipher = "no_shared_cipher" "Client and proxy have no cipher suite, key exchange or signature scheme in common.";
    NoSharedProtocol = "no_shared_protocol" "The client speaks neither `h2` nor `http/1.1` (ALPN).";
    ClientAlertUnknownCa = "client_alert_unknown_ca" "The client does not trust the CA of the proxy's certificate.";
    ClientAlertBadCertificate = "client_alert_bad_certificate" "The client does not accept the proxy's certificate.";
    ClientAlertOther = "client_alert_other" "The client ended the handshake for another reason.";
    Timeout = "timeout" "The handshake was not complete within `timeouts.tlsHandshake`.";
    Closed = "closed" "The client closed the connection during the handshake.";
    Protocol = "protocol" "The client violated the TLS protocol.";
    Other = "other" "Any other failure on the side of the proxy.";
}
}

impl Reason for ServerFailure {
    const ALL: &'static [Self] = Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// The reason in the access log, for a request that failed because of it.
pub(crate) fn reason_of(failure: ServerFailure) -> outrigger_filters::reason::Reason {
    use outrigger_filters::reason::Reason;
    match failure {
        ServerFailure::UnknownCa => Reason::UpstreamTlsUnknownCa,
        ServerFailure::WrongName => Reason::UpstreamTlsWrongName,
        ServerFailure::Expired => Reason::UpstreamTlsExpired,
        ServerFailure::NotYetValid => Reason::UpstreamTlsNotYetValid,
        ServerFailure::WrongPurpose => Reason::UpstreamTlsWrongPurpose,
        ServerFailure::BadCertificate => Reason::UpstreamTlsBadCertificate,
        ServerFailure::NotTls => Reason::UpstreamTlsNotTls,
        ServerFailure::ProtocolVersion => Reason::UpstreamTlsProtocolVersion,
        ServerFailure::NoSharedCipher => Reason::UpstreamTlsNoSharedCipher,
        ServerFailure::NoSharedProtocol => Reason::UpstreamTlsNoSharedProtocol,
        ServerFailure::CertificateRequired => Reason::UpstreamTlsCertificateRequired,
        ServerFailure::CertificateRefused => Reason::UpstreamTlsCertificateRejected,
        ServerFailure::UnrecognizedName => Reason::UpstreamTlsUnrecognizedName,
        ServerFailure::HandshakeRefused => Reason::UpstreamTlsHandshakeRejected,
        ServerFailure::Timeout => Reason::UpstreamTlsTimeout,
        ServerFailure::Closed => Reason::UpstreamTlsClosed,
        ServerFailure::Protocol => Reason::UpstreamTlsProtocol,
        ServerFailure::Other => Reason::UpstreamTlsOther,
    }
}

/// Handshakes of one listener or upstream, of all workers.
pub(crate) struct HandshakeCounters<F = Failure> {
    good: [AtomicU64; 2],
    /// By [`Reason::index`].
    failed: Box<[AtomicU64]>,
    reasons: PhantomData<F>,
}

impl<F: Reason> Default for HandshakeCounters<F> {
    fn default() -> Self {
        let failed = F::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            good: Default::default(),
            failed,
            reasons: PhantomData,
        }
    }
}

impl<F: Reason> HandshakeCounters<F> {
    /// Counts a handshake.
    pub(crate) fn count(&self, end: Handshake<F>) {
        let counter = match end {
            Handshake::Full => &self.good[0],
            Handshake::Resumed => &self.good[1],
            Handshake::Failed(failure) => &self.failed[failure.index()],
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Result, reason and count of every combination that has occurred.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let good = ["full", "resumed"]
            .into_iter()
            .zip(&self.good)
            .map(|(result, count)| (result, "", count));
        let failed = F::ALL
            .iter()
            .zip(&self.failed)
            .map(|(one, count)| ("failed", one.as_str(), count));
        good.chain(failed)
            .map(|(result, reason, count)| (result, reason, count.load(Relaxed)))
            .filter(|(.., count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_as_itself() {
        let counters = HandshakeCounters::<Failure>::default();
        counters.count(Handshake::Resumed);
        for failure in Failure::ALL {
            counters.count(Handshake::Failed(*failure));
        }
        let series: Vec<_> = counters.series().collect();
        assert_eq!(series[0], ("resumed", "", 1));
        let words: Vec<&str> = Failure::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(
            series[1..]
                .iter()
                .map(|(_, reason, _)| *reason)
                .collect::<Vec<_>>(),
            words
        );
        assert!(series.iter().all(|(.., count)| *count == 1));
    }
}
