//! Checks the credentials of a request against the requirement of a route.
//!
//! A token is verified at most once for a request, however many steps need it (route choice,
//! `auth`, rate limits): the [`Memo`] of the request keeps the result. If a route accepts several
//! providers, only the one that the token names as its issuer verifies it.

use std::{cell::RefCell, sync::Arc, time::Duration};

use http::HeaderMap;
use outrigger_config::model::{Credential, JwtProvider, ProviderId, Requirement};

use super::{KeySet, Token, TokenCache, VerifiedToken, Verifier, extract, verify::Thumbprint};
use crate::{error::Error, reason::Reason};

/// The verifiers of a configuration.
#[derive(Debug)]
pub struct Providers(Box<[Arc<Verifier>]>);

impl Providers {
    /// One verifier for each provider, in the same order.
    pub fn new(providers: &[JwtProvider]) -> Self {
        Self(
            providers
                .iter()
                .map(|provider| Arc::new(Verifier::new(provider)))
                .collect(),
        )
    }

    /// The verifier of a provider of the same configuration.
    pub fn get(&self, id: ProviderId) -> &Arc<Verifier> {
        &self.0[id.0 as usize]
    }

    /// The ids of all providers.
    pub fn ids(&self) -> impl Iterator<Item = ProviderId> + Clone + use<> {
        (0..self.0.len() as u32).map(ProviderId)
    }
}

/// Access to the current keys.
pub trait Keys {
    /// Calls `read` with the keys of a provider; with `None` if none were ever loaded, or the last
    /// ones are too old.
    fn with<R>(&self, provider: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R;
}

/// A token and the provider that verified it.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The provider.
    pub provider: ProviderId,
    /// The verified token.
    pub token: Arc<VerifiedToken>,
}

/// Why there is no verified token of a provider, or of any of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// There is no token.
    Absent,
    /// Another issuer issued it.
    OtherIssuer,
    /// The token is rejected.
    Refused(Reason),
    /// This provider has no keys to verify the token with.
    NoKeys(ProviderId),
    /// This provider may have newer keys that verify the token.
    UnknownKid(ProviderId),
}

impl NoToken {
    /// The more informative of two results: the one that was closer to a valid token.
    fn or(self, other: Self) -> Self {
        let rank = |this: &Self| match this {
            Self::Absent => 0,
            Self::OtherIssuer => 1,
            Self::Refused(_) => 2,
            Self::NoKeys(_) => 3,
            Self::UnknownKid(_) => 4,
        };
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

/// The result for the token of a provider, or of any of several.
pub type Verdict = Result<Granted, NoToken>;

/// The tokens that authenticated a request.
#[derive(Debug, Default)]
pub struct Tokens {
    first: Option<Granted>,
    more: Vec<Granted>,
}

impl Tokens {
    /// In the order of the requirement.
    pub fn iter(&self) -> impl Iterator<Item = &Granted> {
        self.first.iter().chain(&self.more)
    }

    fn push(&mut self, granted: Granted) {
        match self.first {
            None => self.first = Some(granted),
            Some(_) => self.more.push(granted),
        }
    }
}

/// The result of a requirement.
#[derive(Debug)]
pub enum Outcome {
    /// The request may continue.
    Allowed(Tokens),
    /// The request is rejected.
    Refused(Error),
    /// No key of this provider has the token's `kid`: fetch the keys and retry once.
    NeedsKeys(ProviderId),
}

impl Outcome {
    /// The final result, if no newer keys are available.
    ///
    /// # Errors
    /// Why the request is rejected.
    pub fn settle(self) -> Result<Tokens, Error> {
        match self {
            Self::Allowed(tokens) => Ok(tokens),
            Self::Refused(error) => Err(error),
            Self::NeedsKeys(_) => Err(denied(Reason::AuthUnknownKid)),
        }
    }
}

/// Results for the tokens of one request. Results that newer keys may change are not stored.
#[derive(Debug, Default)]
pub struct Memo(RefCell<Verdicts>);

/// A typical request has one token for one provider, which needs no allocation.
#[derive(Debug, Default)]
struct Verdicts {
    first: Option<(ProviderId, Verdict)>,
    more: Vec<(ProviderId, Verdict)>,
}

impl Memo {
    fn get(&self, provider: ProviderId) -> Option<Verdict> {
        let verdicts = self.0.borrow();
        let mut all = verdicts.first.iter().chain(&verdicts.more);
        all.find(|(of, _)| *of == provider)
            .map(|(_, verdict)| verdict.clone())
    }

    fn put(&self, provider: ProviderId, verdict: &Verdict) {
        if matches!(verdict, Err(NoToken::NoKeys(_) | NoToken::UnknownKid(_))) {
            return;
        }
        let mut verdicts = self.0.borrow_mut();
        let entry = (provider, verdict.clone());
        match verdicts.first {
            None => verdicts.first = Some(entry),
            Some(_) => verdicts.more.push(entry),
        }
    }
}

/// The credentials of one request, and everything needed to verify them.
#[derive(Debug)]
pub struct Examination<'a, K> {
    /// The providers of the request's configuration.
    pub providers: &'a Providers,
    /// Their keys.
    pub keys: &'a K,
    /// The tokens that this worker has verified before.
    pub cache: &'a RefCell<TokenCache>,
    /// Results of earlier steps of this request.
    pub memo: &'a Memo,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// The current time since the epoch.
    pub now: Duration,
    /// The client's verified certificate.
    pub certificate: Option<&'a Thumbprint>,
}

/// The state of a provider's token before anything is verified.
enum Look<'a> {
    Settled(Verdict),
    Open(&'a str),
}

impl<'a, K: Keys> Examination<'a, K> {
    /// Whether a route's requirement is satisfied.
    pub fn require(&self, requirement: &Requirement) -> Outcome {
        match requirement {
            Requirement::None => Outcome::Allowed(Tokens::default()),
            Requirement::AnyOf(credentials) => self.any_of(credentials),
            Requirement::AllOf(credentials) => self.all_of(credentials),
            Requirement::Optional(providers) => self.optional(providers),
        }
    }

    /// The first verified token of one of these providers.
    ///
    /// # Errors
    /// Why there is none.
    pub fn any(&self, providers: impl Iterator<Item = ProviderId> + Clone) -> Verdict {
        let mut none = NoToken::Absent;
        let mut open = false;
        for provider in providers.clone() {
            match self.look(provider) {
                Look::Settled(Ok(granted)) => return Ok(granted),
                Look::Settled(Err(other)) => none = none.or(other),
                Look::Open(_) => open = true,
            }
        }
        if open {
            self.verify(providers, none)
        } else {
            Err(none)
        }
    }

    /// Verifies the tokens of providers for which the memo has no result.
    fn verify(&self, providers: impl Iterator<Item = ProviderId>, mut none: NoToken) -> Verdict {
        // Several providers mostly read the same text; it is parsed once.
        let mut read: Option<(&'a str, Result<Token<'a>, Reason>)> = None;
        for provider in providers {
            let Look::Open(text) = self.look(provider) else {
                continue;
            };
            let token = match read.take() {
                Some((known, token)) if std::ptr::eq(known, text) => token,
                _ => Token::parse(text),
            };
            let verdict = match token {
                Ok(token) if self.is_foreign(provider, &token) => {
                    read = Some((text, Ok(token)));
                    Err(NoToken::OtherIssuer)
                }
                Ok(token) => self.verify_token(provider, text, token),
                Err(refusal) => {
                    read = Some((text, Err(refusal)));
                    Err(NoToken::Refused(refusal))
                }
            };
            self.memo.put(provider, &verdict);
            match verdict {
                Ok(granted) => return Ok(granted),
                Err(other) => none = none.or(other),
            }
        }
        Err(none)
    }

    /// Whether another provider issued the token. A token without issuer is foreign to no provider,
    /// so each may reject it.
    fn is_foreign(&self, provider: ProviderId, token: &Token<'_>) -> bool {
        token
            .issuer()
            .is_some_and(|issuer| *issuer != *self.providers.get(provider).provider().issuer)
    }

    fn verify_token(&self, provider: ProviderId, text: &str, token: Token<'_>) -> Verdict {
        let verifier = self.providers.get(provider);
        let checked = verifier
            .check(token, self.now, self.certificate)
            .map_err(NoToken::Refused)?;
        self.keys.with(provider, |keys| {
            let keys = keys.ok_or(NoToken::NoKeys(provider))?;
            match verifier.verify_signature(checked, keys) {
                Ok(token) => {
                    let token = Arc::new(token);
                    self.cache.borrow_mut().insert(text, &token, verifier, keys);
                    Ok(Granted { provider, token })
                }
                Err(Reason::AuthUnknownKid) => Err(NoToken::UnknownKid(provider)),
                Err(refusal) => Err(NoToken::Refused(refusal)),
            }
        })
    }

    fn look(&self, provider: ProviderId) -> Look<'a> {
        if let Some(verdict) = self.memo.get(provider) {
            return Look::Settled(verdict);
        }
        let text = match self.find(provider) {
            Ok(Some(text)) => text,
            Ok(None) => return Look::Settled(Err(NoToken::Absent)),
            Err(refusal) => return Look::Settled(Err(NoToken::Refused(refusal))),
        };
        let verifier = self.providers.get(provider);
        let cached = self.keys.with(provider, |keys| {
            self.cache
                .borrow_mut()
                .get(text, verifier, keys?, self.now, self.certificate)
        });
        match cached {
            Some(Ok(token)) => {
                let verdict = Ok(Granted { provider, token });
                self.memo.put(provider, &verdict);
                Look::Settled(verdict)
            }
            Some(Err(refusal)) => Look::Settled(Err(NoToken::Refused(refusal))),
            None => Look::Open(text),
        }
    }

    fn find(&self, provider: ProviderId) -> Result<Option<&'a str>, Reason> {
        extract::find(&self.providers.get(provider).provider().from, self.headers)
    }

    /// One credential is enough, so a client with a valid certificate is not rejected for an
    /// invalid token; but a valid token is preferred, because only a token has claims.
    fn any_of(&self, credentials: &[Credential]) -> Outcome {
        let asks_for_tokens = token_providers(credentials).next().is_some();
        let mut tokens = Tokens::default();
        match self.any(token_providers(credentials)) {
            Ok(granted) => tokens.push(granted),
            Err(_) if self.has_certificate(credentials) => {}
            Err(_) if !asks_for_tokens => {
                return Outcome::Refused(denied(Reason::AuthCertificateMissing));
            }
            Err(none) => return self.refused(none),
        }
        Outcome::Allowed(tokens)
    }

    fn all_of(&self, credentials: &[Credential]) -> Outcome {
        let mut tokens = Tokens::default();
        for provider in token_providers(credentials) {
            match self.any(std::iter::once(provider)) {
                Ok(granted) => tokens.push(granted),
                Err(none) => return self.refused(none),
            }
        }
        if credentials.contains(&Credential::Mtls) && self.certificate.is_none() {
            return Outcome::Refused(denied(Reason::AuthCertificateMissing));
        }
        Outcome::Allowed(tokens)
    }

    /// Every token that is present must be verified by one of the providers that read its location.
    fn optional(&self, providers: &[ProviderId]) -> Outcome {
        let mut tokens = Tokens::default();
        for (place, provider) in providers.iter().enumerate() {
            let text = match self.find(*provider) {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                Err(refusal) => return self.refused(NoToken::Refused(refusal)),
            };
            let same = |provider: &ProviderId| {
                self.find(*provider).is_ok_and(|other| is_same(other, text))
            };
            if providers[..place].iter().any(same) {
                continue;
            }
            match self.any(providers.iter().copied().filter(same)) {
                Ok(granted) => tokens.push(granted),
                Err(none) => return self.refused(none),
            }
        }
        Outcome::Allowed(tokens)
    }

    fn has_certificate(&self, credentials: &[Credential]) -> bool {
        self.certificate.is_some() && credentials.contains(&Credential::Mtls)
    }

    fn refused(&self, none: NoToken) -> Outcome {
        let refusal = match none {
            NoToken::UnknownKid(provider) => return Outcome::NeedsKeys(provider),
            NoToken::NoKeys(provider) => {
                let provider = Arc::clone(&self.providers.get(provider).provider().name);
                return Outcome::Refused(Error::NoKeys { provider });
            }
            NoToken::Absent => Reason::AuthMissingToken,
            NoToken::OtherIssuer => Reason::AuthUnknownIssuer,
            NoToken::Refused(refusal) => refusal,
        };
        Outcome::Refused(denied(refusal))
    }
}

/// A missing certificate is a 403: no response makes a client present one on this connection.
/// Everything else is a 401, also a token bound to another certificate (RFC 8705 section 3).
fn denied(reason: Reason) -> Error {
    match reason {
        Reason::AuthCertificateMissing => Error::Forbidden(reason),
        _ => Error::Unauthenticated(reason),
    }
}

fn token_providers(credentials: &[Credential]) -> impl Iterator<Item = ProviderId> + Clone {
    credentials
        .iter()
        .filter_map(|credential| match credential {
            Credential::Token(provider) => Some(*provider),
            Credential::Mtls => None,
        })
}

/// Whether this is the same slice of the head.
fn is_same(other: Option<&str>, text: &str) -> bool {
    other.is_some_and(|other| std::ptr::eq(other, text))
}
