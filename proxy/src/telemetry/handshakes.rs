//! How TLS handshakes end: a closed set, counted per listener.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// With a key exchange and certificates.
    Full,
    /// From a ticket of an earlier one.
    Resumed,
    /// Not well.
    Failed(Failure),
}

/// Declares the reasons once: the type, the list and the words.
macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a handshake failed, or why a live connection is believed no longer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Failure { $($(#[$doc])* $name,)* }

        impl Failure {
            /// All of them, in the order of the variants.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The value of the label `reason`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

failures! {
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

/// Handshakes of one listener, over all workers.
pub(crate) struct HandshakeCounters {
    good: [AtomicU64; 2],
    failed: [AtomicU64; Failure::ALL.len()],
}

impl Default for HandshakeCounters {
    fn default() -> Self {
        Self { good: Default::default(), failed: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl HandshakeCounters {
    /// One ended.
    pub(crate) fn count(&self, end: Handshake) {
        let counter = match end {
            Handshake::Full => &self.good[0],
            Handshake::Resumed => &self.good[1],
            Handshake::Failed(failure) => &self.failed[failure as usize],
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Result, reason and count of everything that has happened.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let good = ["full", "resumed"].into_iter().zip(&self.good).map(|(result, count)| (result, "", count));
        let failed =
            Failure::ALL.iter().zip(&self.failed).map(|(one, count)| ("failed", one.as_str(), count));
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
        let counters = HandshakeCounters::default();
        counters.count(Handshake::Resumed);
        for failure in Failure::ALL {
            counters.count(Handshake::Failed(*failure));
        }
        let series: Vec<_> = counters.series().collect();
        assert_eq!(series[0], ("resumed", "", 1));
        let words: Vec<&str> = Failure::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(series[1..].iter().map(|(_, reason, _)| *reason).collect::<Vec<_>>(), words);
        assert!(series.iter().all(|(.., count)| *count == 1));
    }
}
