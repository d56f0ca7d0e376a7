//! Who signs tokens, and what is read from them.

use std::{path::Path, sync::Arc, time::Duration};

use http::{HeaderName, Uri, header::AUTHORIZATION};
use rustls_pki_types::CertificateDer;

use crate::{
    model::{SecretSource, SecretText},
    part::claim::ClaimPath,
};

/// One entry of `jwtProviders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtProvider {
    /// Unique name.
    pub name: Arc<str>,
    /// `iss` of its tokens, byte by byte.
    pub issuer: Arc<str>,
    /// One of these must stand in `aud`; at least one.
    pub audiences: Vec<Arc<str>>,
    /// The algorithms it may use; all asymmetric, or all symmetric.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Where its keys are.
    pub keys: KeySource,
    /// What `typ` may be, lower case and without `application/`; an absent `typ` is always fine. Default `jwt`, `at+jwt`.
    pub token_types: Vec<Arc<str>>,
    /// How far `exp`, `nbf` and `iat` may be off. Default 30 s, at most 300 s.
    pub clock_skew: Duration,
    /// The longest time from `iat` to `exp`; `None` is any.
    pub max_lifetime: Option<Duration>,
    /// Whether tokens are bound to the client's certificate (RFC 8705). Default when present.
    pub binding: TokenBinding,
    /// Where a token may stand; the first that is present decides. Default the Authorization header, scheme Bearer.
    pub from: Vec<TokenLocation>,
    /// Whether the app gets the token. Default false.
    pub forward_token: bool,
    /// Claims that the app gets as headers.
    pub claim_headers: Vec<ClaimHeader>,
}

impl JwtProvider {
    /// A provider with every default; the fields are public for the rest.
    pub fn new(name: Arc<str>, issuer: Arc<str>, audiences: Vec<Arc<str>>, keys: KeySource) -> Self {
        Self {
            name,
            issuer,
            audiences,
            algorithms: JwtAlgorithm::ASYMMETRIC.to_vec(),
            keys,
            token_types: vec!["jwt".into(), "at+jwt".into()],
            clock_skew: Duration::from_secs(30),
            max_lifetime: None,
            binding: TokenBinding::WhenPresent,
            from: vec![TokenLocation::Header { name: AUTHORIZATION, scheme: Some("Bearer".into()) }],
            forward_token: false,
            claim_headers: Vec::new(),
        }
    }
}

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl JwtAlgorithm {
    /// Those with a public key, in the order of the standards.
    pub const ASYMMETRIC: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// As it stands in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm with this name, case included. `Ed25519` is EdDSA by its newer name (RFC 9864).
    pub fn named(name: &str) -> Option<Self> {
        const SYMMETRIC: [JwtAlgorithm; 3] = [JwtAlgorithm::Hs256, JwtAlgorithm::Hs384, JwtAlgorithm::Hs512];
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ASYMMETRIC.into_iter().chain(SYMMETRIC).find(|algorithm| algorithm.name() == name)
    }

    /// The shortest secret, in bytes: as long as the hash (RFC 7518 section 3.2); 0 for those with a public key.
    pub fn min_secret_bytes(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            _ => 0,
        }
    }

    /// Whether both sides hold the same secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// Where a provider's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// At a URL that the issuer's discovery document names (OpenID Connect Discovery 1.0 section 4).
    Discovery(RemoteKeys),
    /// At this URL.
    Url(Uri, RemoteKeys),
    /// In a file beside the configuration, or in the configuration itself; the text of a JWKS.
    Text {
        /// The JWKS, which can be read and has at least one key.
        jwks: Arc<str>,
        /// Where it was read from; `None` for `inline`.
        file: Option<Arc<Path>>,
    },
    /// One shared secret, for HS256 and its kin.
    Secret(SecretText),
}

/// How keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteKeys {
    /// How often keys are fetched again, give or take a tenth. Default 10 min.
    pub refresh: Duration,
    /// From the start of the connect to the whole answer. Default 2 s, at most 5 s.
    pub timeout: Duration,
    /// How long keys are used after the last fetch that worked. Default 24 h.
    pub max_stale: Duration,
    /// Whether `http` is allowed. Default false.
    pub allow_insecure: bool,
    /// Who signs the server's certificate; empty: the system's roots.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Where they were read from.
    pub ca_files: Vec<Arc<Path>>,
    /// What is sent along.
    pub bearer_token: Option<SecretSource>,
}

impl Default for RemoteKeys {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(600),
            timeout: Duration::from_secs(2),
            max_stale: Duration::from_secs(24 * 3600),
            allow_insecure: false,
            ca_certificates: Vec::new(),
            ca_files: Vec::new(),
            bearer_token: None,
        }
    }
}

/// Whether tokens are bound to the client's certificate by `cnf` (RFC 8705 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenBinding {
    /// `cnf` is not looked at.
    Never,
    /// A token with `cnf` needs the certificate that it names.
    WhenPresent,
    /// A token without `cnf` is refused.
    Required,
}

/// Where a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// In a header, behind a scheme and a space when there is a scheme.
    Header {
        /// The header.
        name: HeaderName,
        /// The scheme; its case does not matter.
        scheme: Option<Arc<str>>,
    },
    /// In a cookie.
    Cookie(Arc<str>),
}

/// One entry of `claimHeaders`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimHeader {
    /// The header, taken away from every client.
    pub name: HeaderName,
    /// The claim it carries.
    pub claim: ClaimPath,
}

impl ClaimHeader {
    /// A claim as a header.
    pub fn new(name: HeaderName, claim: ClaimPath) -> Self {
        Self { name, claim }
    }
}
