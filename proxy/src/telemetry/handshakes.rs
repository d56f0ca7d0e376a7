//! How TLS handshakes end: closed sets, counted per listener and per upstream.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use outrigger_transport::tls::client::ServerFailure;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake<F = Failure> {
    /// With a key exchange and certificates.
    Full,
    /// From a ticket of an earlier one.
    Resumed,
    /// Not well.
    Failed(F),
}

/// Why handshakes fail: a closed set of words.
pub(crate) trait Reason: Copy + 'static {
    /// All of them, in the order of the variants.
    const ALL: &'static [Self];

    /// The value of the label `reason`.
    fn as_str(self) -> &'static str;

    /// Where it stands in [`Self::ALL`].
    fn index(self) -> usize;
}

/// Declares the reasons once: the type, the list and the words.
macro_rules! failures {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// The value of the label `reason`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
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
/// Why a client's handshake failed, or why a live connection is believed no longer.
Failure {
    /// A certificate is required and none came.
    NoCertificate = "no_certificate",
    /// No authority of `caFiles` signed it.
    UnknownCa = "unknown_ca",
    /// It, or one above it, has expired.
    Expired = "expired",
    /// It, or one above it, is not valid yet.
    NotYetValid = "not_yet_valid",
    /// A revocation list names it, or one above it.
    Revoked = "revoked",
    /// No revocation list speaks for it, or for one above it.
    UnknownRevocation = "unknown_revocation",
    /// The revocation list that speaks for it is not current.
    CrlExpired = "crl_expired",
    /// It is not for clients.
    WrongPurpose = "wrong_purpose",
    /// It names two identities.
    MultipleSpiffeIds = "multiple_spiffe_ids",
    /// It is broken, or its key did not sign.
    BadCertificate = "bad_certificate",
    /// The client does not speak TLS.
    NotTls = "not_tls",
    /// No TLS version in common.
    ProtocolVersion = "protocol_version",
    /// No cipher suite, key exchange or signature scheme in common.
    NoSharedCipher = "no_shared_cipher",
    /// No application protocol in common.
    NoSharedProtocol = "no_shared_protocol",
    /// The client does not believe us.
    ClientAlertUnknownCa = "client_alert_unknown_ca",
    /// The client does not like our certificate.
    ClientAlertBadCertificate = "client_alert_bad_certificate",
    /// The client gave up for another reason.
    ClientAlertOther = "client_alert_other",
    /// Not done within `timeouts.tlsHandshake`.
    Timeout = "timeout",
    /// The client went away in the middle.
    Closed = "closed",
    /// The client broke the protocol.
    Protocol = "protocol",
    /// Anything else, of our own side.
    Other = "other",
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

/// As the access log has it, when a request failed for it.
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
        ServerFailure::CertificateRefused => Reason::UpstreamTlsCertificateRefused,
        ServerFailure::UnrecognizedName => Reason::UpstreamTlsUnrecognizedName,
        ServerFailure::HandshakeRefused => Reason::UpstreamTlsHandshakeRefused,
        ServerFailure::Timeout => Reason::UpstreamTlsTimeout,
        ServerFailure::Closed => Reason::UpstreamTlsClosed,
        ServerFailure::Protocol => Reason::UpstreamTlsProtocol,
        ServerFailure::Other => Reason::UpstreamTlsOther,
    }
}

/// Handshakes of one listener or upstream, over all workers.
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
    /// One ended.
    pub(crate) fn count(&self, end: Handshake<F>) {
        let counter = match end {
            Handshake::Full => &self.good[0],
            Handshake::Resumed => &self.good[1],
            Handshake::Failed(failure) => &self.failed[failure.index()],
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Result, reason and count of everything that has happened.
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
