//! Headers and tokens towards the app: claims as headers, and the token itself only where
//! `forwardToken` is set.
//!
//! This step runs after every step that may need the token.

use std::rc::Rc;

use http::HeaderMap;
use outrigger_config::model::{JwtProvider, ProviderId, Requirement, TokenLocation};
use outrigger_filters::{
    jwt::{Tokens, extract},
    service::Request,
    step::{Step, Verdict},
};

use super::Verifiers;
use crate::KeySource;

/// Removes tokens and inserts claims.
#[derive(Debug)]
pub struct HandOverStep<K> {
    /// The locations of tokens that are not forwarded.
    hidden: Vec<TokenLocation>,
    verifiers: Rc<Verifiers<K>>,
}

impl<K: KeySource> HandOverStep<K> {
    /// The step for the tokens that a route accepts.
    pub fn new(requirement: &Requirement, verifiers: &Rc<Verifiers<K>>) -> Self {
        let mut hidden = Vec::new();
        for provider in requirement.providers().map(|id| verifiers.model(id)) {
            let places = provider.from.iter().filter(|_| !provider.forward_token);
            hidden.extend(places.cloned());
        }
        Self {
            hidden,
            verifiers: Rc::clone(verifiers),
        }
    }

    fn apply(&self, tokens: &Tokens, headers: &mut HeaderMap) {
        for place in self
            .hidden
            .iter()
            .filter(|place| !self.is_handed_on(place, tokens))
        {
            // The token is removed also if it was not verified, or was rejected in `mode: report`.
            extract::remove(std::slice::from_ref(place), headers);
        }
        for (name, value) in tokens.iter().flat_map(|granted| granted.token.headers()) {
            // The client's own field was removed, so an existing one is from an earlier token,
            // which has precedence.
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Whether this location has a verified token whose provider forwards it; other providers of
    /// the location do not matter.
    fn is_handed_on(&self, place: &TokenLocation, tokens: &Tokens) -> bool {
        let mut providers = tokens
            .iter()
            .map(|granted| self.verifiers.model(granted.provider));
        providers.any(|provider| provider.forward_token && provider.from.contains(place))
    }
}

impl<K> Verifiers<K> {
    fn model(&self, id: ProviderId) -> &JwtProvider {
        self.providers.get(id).provider()
    }
}

impl<K: KeySource> Step for HandOverStep<K> {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let tokens = request.context.take_tokens();
        self.apply(&tokens, &mut request.head.headers);
        Verdict::Pass
    }
}
