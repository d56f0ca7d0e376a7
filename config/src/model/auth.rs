//! Who may use a route: token providers, what a route asks for, rules, and the service that is asked.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use http::{HeaderName, Method, StatusCode, Uri, header::AUTHORIZATION};
use rustls_pki_types::CertificateDer;

use super::{Cidr, ClientTls, EndpointSpec, ProviderId, ValueMatch};

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

/// Where a secret that may change while running comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read whenever the secret is used.
    File(Arc<Path>),
    /// The environment, read when the configuration was loaded.
    Env {
        /// The variable.
        name: Arc<str>,
        /// What it held.
        value: SecretText,
    },
}

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText {
    secret: Arc<[u8]>,
    origin: Option<SecretOrigin>,
}

/// Where a secret was read from when the configuration was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file.
    File(Arc<Path>),
    /// A variable of the environment.
    Env(Arc<str>),
}

impl SecretText {
    /// Keeps a secret.
    pub fn new(secret: impl Into<Arc<[u8]>>) -> Self {
        Self { secret: secret.into(), origin: None }
    }

    /// Keeps a secret that was read from somewhere.
    pub(crate) fn from(origin: SecretOrigin, secret: &[u8]) -> Self {
        Self { secret: secret.into(), origin: Some(origin) }
    }

    /// Where it was read from.
    pub fn origin(&self) -> Option<&SecretOrigin> {
        self.origin.as_ref()
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
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

/// A claim by name: `org.tenant` is `tenant` within `org`; `["a.b"]` is the one member `a.b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath(Arc<[Arc<str>]>);

impl ClaimPath {
    /// The path of these members; at least one.
    pub fn new(members: impl Into<Arc<[Arc<str>]>>) -> Self {
        Self(members.into())
    }

    /// The members, outermost first.
    pub fn members(&self) -> &[Arc<str>] {
        &self.0
    }
}

/// A match on a verified claim. An array holds when one of its elements does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimMatch {
    /// The claim.
    pub claim: ClaimPath,
    /// What it must be: one of these. Numbers and booleans are compared as JSON writes them.
    pub any_of: Vec<ValueMatch>,
}

impl ClaimMatch {
    /// A match on one claim.
    pub fn new(claim: ClaimPath, any_of: Vec<ValueMatch>) -> Self {
        Self { claim, any_of }
    }
}

/// `auth` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auth {
    /// What is asked for.
    pub requirement: Requirement,
    /// Whether it is refused or only counted.
    pub mode: Mode,
}

impl Auth {
    /// What is asked for, and what happens without it.
    pub fn new(requirement: Requirement, mode: Mode) -> Self {
        Self { requirement, mode }
    }

    /// A route that is open.
    pub fn none() -> Self {
        Self::new(Requirement::None, Mode::Enforce)
    }
}

/// What a route asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing; a token is not even looked at.
    None,
    /// One of these; at least one.
    AnyOf(Vec<Credential>),
    /// Every one of these; at least one.
    AllOf(Vec<Credential>),
    /// A token of one of these providers may be absent, but never wrong; at least one.
    Optional(Vec<ProviderId>),
}

impl Requirement {
    /// The providers whose tokens it takes, in the order they stand.
    pub fn providers(&self) -> impl Iterator<Item = ProviderId> {
        let (credentials, optional): (&[Credential], &[ProviderId]) = match self {
            Self::None => (&[], &[]),
            Self::AnyOf(all) | Self::AllOf(all) => (all, &[]),
            Self::Optional(providers) => (&[], providers),
        };
        let token = |credential: &Credential| match credential {
            Credential::Token(provider) => Some(*provider),
            Credential::Mtls => None,
        };
        credentials.iter().filter_map(token).chain(optional.iter().copied())
    }
}

/// One thing that a client may present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A token of this provider.
    Token(ProviderId),
    /// A verified client certificate.
    Mtls,
}

/// Whether a refusal is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The request is refused.
    #[default]
    Enforce,
    /// The request goes on; the refusal is logged and counted.
    Report,
}

/// `authorize` of a route: deny beats allow; with any allow rule, no match is deny.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorize {
    /// Whether it is refused or only counted.
    pub mode: Mode,
    /// The rules in file order; at least one.
    pub rules: Vec<AuthorizeRule>,
}

impl Authorize {
    /// These rules.
    pub fn new(mode: Mode, rules: Vec<AuthorizeRule>) -> Self {
        Self { mode, rules }
    }
}

/// One rule of `authorize`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorizeRule {
    /// Unique within its route; stands in the access log when the rule refuses.
    pub name: Arc<str>,
    /// What it does with a request that it takes.
    pub action: RuleAction,
    /// Methods, of which one must be the request's; empty takes all.
    pub methods: Vec<Method>,
    /// Scopes, all of which the token must have (`scope`, or `scp`); empty asks for none.
    pub scopes: Vec<Arc<str>>,
    /// Claims, all of which must match.
    pub claims: Vec<ClaimMatch>,
    /// Names, of which one must be the client certificate's; empty takes all.
    pub subject_alt_names: Vec<SanPattern>,
    /// Ranges, of which one must hold the client's address; empty takes all.
    pub source_cidrs: Vec<Cidr>,
}

impl AuthorizeRule {
    /// A rule that takes every request; the fields are public for the rest.
    pub fn new(name: Arc<str>, action: RuleAction) -> Self {
        Self {
            name,
            action,
            methods: Vec::new(),
            scopes: Vec::new(),
            claims: Vec::new(),
            subject_alt_names: Vec::new(),
            source_cidrs: Vec::new(),
        }
    }
}

/// What a rule does with a request that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// Lets it in, unless another rule denies it.
    Allow,
    /// Refuses it.
    Deny,
}

/// A name of a certificate: `*` is one segment between slashes (or dots, in a DNS name), `**` any number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SanPattern(Arc<str>);

impl SanPattern {
    /// A pattern that was accepted.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `extAuth`: a service that is asked about every request of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtAuth {
    /// Where it is.
    pub endpoint: EndpointSpec,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<ClientTls>>,
    /// What is asked for there, in origin form.
    pub path: Arc<str>,
    /// From the start of the connect to the whole answer. Default 200 ms.
    pub timeout: Duration,
    /// What happens when it gives no answer. Default deny.
    pub on_error: OnError,
}

impl ExtAuth {
    /// Host of what is asked.
    pub fn host(&self) -> &str {
        self.tls.as_ref().and_then(|tls| tls.hostname.as_deref()).unwrap_or(&self.endpoint.authority)
    }
}

/// What happens when a service that decides gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The request is refused.
    Deny,
    /// The request goes on.
    Allow,
}

/// `cors` of a route (WHATWG Fetch, "CORS protocol").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cors {
    /// The origins that may read answers; at least one.
    pub allow_origins: Vec<OriginMatch>,
    /// Methods that a preflight is told; empty: the one that it asks for.
    pub allow_methods: Vec<Method>,
    /// Headers that a preflight is told; empty: those that it asks for.
    pub allow_headers: Vec<HeaderName>,
    /// Headers of an answer that a page may read beside the safe ones.
    pub expose_headers: Vec<HeaderName>,
    /// Whether cookies and Authorization may come along. Default false.
    pub allow_credentials: bool,
    /// How long a preflight's answer may be kept; `None` leaves that to the browser.
    pub max_age: Option<Duration>,
}

impl Cors {
    /// These origins and nothing else; the fields are public for the rest.
    pub fn new(allow_origins: Vec<OriginMatch>) -> Self {
        Self {
            allow_origins,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: None,
        }
    }

    /// The status of a preflight's answer.
    pub const PREFLIGHT_STATUS: StatusCode = StatusCode::NO_CONTENT;
}

/// An origin: `https://shop.example.com`, lower case, the scheme's own port left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginMatch {
    /// Every origin; never with credentials.
    Any,
    /// Exactly this one.
    Exact(Arc<str>),
    /// `https://*.example.com`: one or more labels in place of the star.
    Wildcard {
        /// `https://`.
        scheme: Arc<str>,
        /// `.example.com`, with the port when it has one.
        suffix: Arc<str>,
    },
}
