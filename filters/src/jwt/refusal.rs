//! Why a token was refused: a closed set, for the log and metrics alone. A client hears of none of it.

use crate::error::Error;

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// It stands in several headers or cookies of the same name.
    Repeated,
    /// Over 16 KiB.
    TooLarge,
    /// Not three segments: no JWS in compact form (RFC 7515 section 3.1).
    Segments,
    /// A segment is not base64url without padding.
    Encoding,
    /// The header is no JSON object, or a member of it has the wrong type.
    Header,
    /// The payload is no JSON object, or nested too deep.
    Payload,
    /// A member stands twice.
    DuplicateMember,
    /// `crit` or `b64` ask for what is not understood here.
    Critical,
    /// The algorithm is unknown, or not listed for this provider.
    Algorithm,
    /// `typ` is not listed for this provider.
    TokenType,
    /// `iss` or `aud` has the wrong type.
    Claim,
    /// `exp`, `nbf` or `iat` is not a number, or is negative.
    Time,
    /// No `iss`.
    IssuerMissing,
    /// `iss` is none of the providers that the route takes.
    UnknownIssuer,
    /// No `aud`.
    AudienceMissing,
    /// `aud` names none of the provider's audiences.
    AudienceMismatch,
    /// No `exp`.
    ExpiryMissing,
    /// `exp` is over.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iat` is still to come.
    IssuedInFuture,
    /// No `iat`, which `maxLifetime` needs.
    IssueTimeMissing,
    /// `exp` is further from `iat` than `maxLifetime`.
    Lifetime,
    /// No `cnf`, which `binding: required` needs.
    BindingMissing,
    /// A `cnf` of another kind than a certificate's thumbprint.
    BindingUnknown,
    /// `cnf` names another certificate than the client's.
    BindingMismatch,
    /// No key has its `kid`.
    UnknownKid,
    /// The only keys with its `kid` cannot verify.
    UnusableKey,
    /// No key with its `kid`, or no key at all, is for its algorithm.
    KeyMismatch,
    /// More keys than are tried fit its `kid`, if it has one, and its algorithm.
    AmbiguousKey,
    /// The signature is wrong.
    Signature,
    /// No verified client certificate.
    CertificateMissing,
}

impl Refusal {
    /// As it stands in log lines and labels; `docs/operations.md` lists them.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "auth.missing_token",
            Self::Repeated => "auth.token_repeated",
            Self::TooLarge => "auth.token_too_large",
            Self::Segments => "auth.token_segments",
            Self::Encoding => "auth.token_encoding",
            Self::Header => "auth.token_header",
            Self::Payload => "auth.token_payload",
            Self::DuplicateMember => "auth.duplicate_member",
            Self::Critical => "auth.critical_header",
            Self::Algorithm => "auth.algorithm_not_allowed",
            Self::TokenType => "auth.token_type",
            Self::Claim => "auth.claim_type",
            Self::Time => "auth.bad_time",
            Self::IssuerMissing => "auth.issuer_missing",
            Self::UnknownIssuer => "auth.unknown_issuer",
            Self::AudienceMissing => "auth.audience_missing",
            Self::AudienceMismatch => "auth.audience_mismatch",
            Self::ExpiryMissing => "auth.expiry_missing",
            Self::Expired => "auth.expired",
            Self::NotYetValid => "auth.not_yet_valid",
            Self::IssuedInFuture => "auth.issued_in_future",
            Self::IssueTimeMissing => "auth.issue_time_missing",
            Self::Lifetime => "auth.lifetime_too_long",
            Self::BindingMissing => "auth.binding_missing",
            Self::BindingUnknown => "auth.binding_unknown",
            Self::BindingMismatch => "auth.binding_mismatch",
            Self::UnknownKid => "auth.unknown_kid",
            Self::UnusableKey => "auth.unusable_key",
            Self::KeyMismatch => "auth.key_mismatch",
            Self::AmbiguousKey => "auth.ambiguous_key",
            Self::Signature => "auth.signature",
            Self::CertificateMissing => "auth.certificate_missing",
        }
    }
}

impl From<Refusal> for Error {
    /// A missing certificate is a 403: no answer of ours makes a client present one on this connection. All else is
    /// a 401, a token bound to another certificate too (RFC 8705 section 3).
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::CertificateMissing => Self::Forbidden {
                reason: refusal.reason(),
                insufficient_scope: false,
            },
            _ => Self::Unauthenticated(refusal.reason()),
        }
    }
}
