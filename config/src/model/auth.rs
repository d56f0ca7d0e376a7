//! Who may use a route: what it asks for, and its rules.

use std::sync::Arc;

use http::Method;

use crate::part::{cidr::Cidr, claim::ClaimMatch, id::ProviderId, words::Mode};

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
