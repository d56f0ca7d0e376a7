//! How TLS handshakes end: closed sets, counted per listener and per upstream.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

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

failures! {
/// Why there is no TLS with an endpoint.
ServerFailure {
    /// Nobody who is believed signed its certificate.
    UnknownCa = "unknown_ca",
    /// Its certificate is for other names.
    WrongName = "wrong_name",
    /// Its certificate, or one above it, has expired.
    Expired = "expired",
    /// Its certificate, or one above it, is not valid yet.
    NotYetValid = "not_yet_valid",
    /// Its certificate is not for servers.
    WrongPurpose = "wrong_purpose",
    /// Its certificate is broken, or its key did not sign.
    BadCertificate = "bad_certificate",
    /// It does not speak TLS.
    NotTls = "not_tls",
    /// No TLS version in common.
    ProtocolVersion = "protocol_version",
    /// No cipher suite, key exchange or signature scheme in common.
    NoSharedCipher = "no_shared_cipher",
    /// It does not speak the HTTP version that is needed.
    NoSharedProtocol = "no_shared_protocol",
    /// It wants a certificate of us, and there is none.
    CertificateRequired = "certificate_required",
    /// It does not accept our certificate.
    CertificateRefused = "certificate_refused",
    /// It knows no server of that name.
    UnrecognizedName = "unrecognized_name",
    /// It gave up for another reason.
    HandshakeRefused = "handshake_refused",
    /// Not done within `connections.connectTimeout`.
    Timeout = "timeout",
    /// It went away in the middle.
    Closed = "closed",
    /// It broke the protocol.
    Protocol = "protocol",
    /// Anything else, of our own side.
    Other = "other",
}
}

impl From<ServerFailure> for outrigger_filters::reason::Reason {
    /// As the access log has it, when a request failed for it.
    fn from(failure: ServerFailure) -> Self {
        match failure {
            ServerFailure::UnknownCa => Self::UpstreamTlsUnknownCa,
            ServerFailure::WrongName => Self::UpstreamTlsWrongName,
            ServerFailure::Expired => Self::UpstreamTlsExpired,
            ServerFailure::NotYetValid => Self::UpstreamTlsNotYetValid,
            ServerFailure::WrongPurpose => Self::UpstreamTlsWrongPurpose,
            ServerFailure::BadCertificate => Self::UpstreamTlsBadCertificate,
            ServerFailure::NotTls => Self::UpstreamTlsNotTls,
            ServerFailure::ProtocolVersion => Self::UpstreamTlsProtocolVersion,
            ServerFailure::NoSharedCipher => Self::UpstreamTlsNoSharedCipher,
            ServerFailure::NoSharedProtocol => Self::UpstreamTlsNoSharedProtocol,
            ServerFailure::CertificateRequired => Self::UpstreamTlsCertificateRequired,
            ServerFailure::CertificateRefused => Self::UpstreamTlsCertificateRefused,
            ServerFailure::UnrecognizedName => Self::UpstreamTlsUnrecognizedName,
            ServerFailure::HandshakeRefused => Self::UpstreamTlsHandshakeRefused,
            ServerFailure::Timeout => Self::UpstreamTlsTimeout,
            ServerFailure::Closed => Self::UpstreamTlsClosed,
            ServerFailure::Protocol => Self::UpstreamTlsProtocol,
            ServerFailure::Other => Self::UpstreamTlsOther,
        }
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
