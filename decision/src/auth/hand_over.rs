//! What the app gets of a client's tokens: claims as headers, and the token itself only where `forwardToken` says so.
//!
//! Behind every step that may still want to see the token.

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

/// Takes tokens away and puts claims in.
#[derive(Debug)]
pub struct HandOverStep<K> {
    /// Where tokens stand that are not handed on.
    hidden: Vec<TokenLocation>,
    verifiers: Rc<Verifiers<K>>,
}

impl<K: KeySource> HandOverStep<K> {
    /// For the tokens that a route takes.
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
            // What stands there is taken away also when it was not looked at, or refused and only reported.
            extract::remove(std::slice::from_ref(place), headers);
        }
        for (name, value) in tokens.iter().flat_map(|granted| granted.token.headers()) {
            // The client's own are gone, so what is there is another token's, which comes first.
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// Whether a verified token stands there whose provider hands it on, whatever others say about their own.
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
