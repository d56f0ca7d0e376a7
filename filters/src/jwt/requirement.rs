//! What a route asks for, against what a request brings.
//!
//! A token is verified at most once for a request, however many steps ask (route choice, `auth`, rate limits): the
//! [`Memo`] beside the request keeps the verdict. Of several providers the one that the token names as its issuer verifies
//! it, and no other.

use std::{cell::RefCell, sync::Arc, time::Duration};

use http::HeaderMap;
use outrigger_config::model::{Credential, JwtProvider, ProviderId, Requirement};

use super::{KeySet, Token, TokenCache, VerifiedToken, Verifier, extract, verify::Thumbprint};
use crate::{error::Error, reason::Reason};

/// The verifiers of a configuration.
#[derive(Debug)]
pub struct Providers(Box<[Arc<Verifier>]>);

impl Providers {
    /// One for each provider, in their order.
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

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = ProviderId> + Clone + use<> {
        (0..self.0.len() as u32).map(ProviderId)
    }
}

/// Where the keys of the moment are.
pub trait Keys {
    /// Lets `read` see the keys of a provider; `None` when none were ever loaded, or the last ones are too old.
    fn with<R>(&self, provider: ProviderId, read: impl FnOnce(Option<&KeySet>) -> R) -> R;
}

/// A token and the provider that verified it.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The provider.
    pub provider: ProviderId,
    /// What it says.
    pub token: Arc<VerifiedToken>,
}

/// Why there is no verified token of a provider, or of any of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// There is none at all.
    Absent,
    /// Somebody else issued it.
    OtherIssuer,
    /// It is refused.
    Refused(Reason),
    /// This provider has no keys to verify it with.
    NoKeys(ProviderId),
    /// This provider may have newer keys that verify it.
    UnknownKid(ProviderId),
}

impl NoToken {
    /// Of two the one that tells more: the one that was closer to a token.
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

/// What was found out about the token of a provider, or of any of several.
pub type Verdict = Result<Granted, NoToken>;

/// The tokens that a request was let in with.
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

/// What a requirement comes to.
#[derive(Debug)]
pub enum Outcome {
    /// The request may go on.
    Allowed(Tokens),
    /// It may not.
    Refused(Error),
    /// No key of this provider has the token's `kid`: fetch them and ask again, once.
    NeedsKeys(ProviderId),
}

impl Outcome {
    /// The end of it, when no newer keys are to be had.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn settle(self) -> Result<Tokens, Error> {
        match self {
            Self::Allowed(tokens) => Ok(tokens),
            Self::Refused(error) => Err(error),
            Self::NeedsKeys(_) => Err(denied(Reason::AuthUnknownKid)),
        }
    }
}

/// What was found out about the tokens of one request. Verdicts that newer keys may change are not in it.
#[derive(Debug, Default)]
pub struct Memo(RefCell<Known>);

/// The usual request has one token for one provider, which costs no allocation.
#[derive(Debug, Default)]
struct Known {
    first: Option<(ProviderId, Verdict)>,
    more: Vec<(ProviderId, Verdict)>,
}

impl Memo {
    fn get(&self, provider: ProviderId) -> Option<Verdict> {
        let known = self.0.borrow();
        let mut all = known.first.iter().chain(&known.more);
        all.find(|(of, _)| *of == provider)
            .map(|(_, verdict)| verdict.clone())
    }

    fn put(&self, provider: ProviderId, verdict: &Verdict) {
        if matches!(verdict, Err(NoToken::NoKeys(_) | NoToken::UnknownKid(_))) {
            return;
        }
        let mut known = self.0.borrow_mut();
        let entry = (provider, verdict.clone());
        match known.first {
            None => known.first = Some(entry),
            Some(_) => known.more.push(entry),
        }
    }
}

/// One request, as far as credentials go.
#[derive(Debug)]
pub struct Examination<'a, K> {
    /// The providers of the request's configuration.
    pub providers: &'a Providers,
    /// Their keys.
    pub keys: &'a K,
    /// The tokens that this worker has verified before.
    pub cache: &'a RefCell<TokenCache>,
    /// What earlier steps of this request found out.
    pub memo: &'a Memo,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// Since the epoch.
    pub now: Duration,
    /// The client's verified certificate.
    pub certificate: Option<&'a Thumbprint>,
}

/// What is known of a provider's token without verifying anything.
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

    /// The token of one of these providers: the first that is verified.
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

    /// The same for those whose token nobody has looked at yet.
    fn verify(&self, providers: impl Iterator<Item = ProviderId>, mut none: NoToken) -> Verdict {
        // Several providers mostly look at one text; it is read once.
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

    /// Whether another provider issued it. One that names nobody is left to every provider to refuse.
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

    /// One is enough, so a client with a good certificate is not asked about a bad token; but a good token is looked
    /// for first, since only that has claims.
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

    /// Every token that is there must be verified by one of the providers that look where it stands.
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

/// A missing certificate is a 403: no response makes a client present one on this connection. All else is a 401, a token bound
/// to another certificate too (RFC 8705 section 3).
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

/// Whether this is the very same place in the head.
fn is_same(other: Option<&str>, text: &str) -> bool {
    other.is_some_and(|other| std::ptr::eq(other, text))
}
