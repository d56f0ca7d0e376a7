//! `auth` of a route.

use std::rc::Rc;

use http::HeaderMap;
use outrigger_config::model::{Auth, Mode, ProviderId, Requirement};
use outrigger_filters::{
    context::Exchange,
    error::Error,
    jwt::Outcome,
    service::Request,
    step::{Counting, Step, Verdict},
};

use super::Verifiers;
use crate::KeySource;

/// Rejects requests that do not meet the route's requirement.
#[derive(Debug)]
pub struct AuthStep<K>(Rc<Gate<K>>);

#[derive(Debug)]
struct Gate<K> {
    requirement: Requirement,
    mode: Mode,
    verifiers: Rc<Verifiers<K>>,
}

impl<K: KeySource> AuthStep<K> {
    /// `auth` of a route.
    pub fn new(auth: &Auth, verifiers: &Rc<Verifiers<K>>) -> Self {
        let requirement = auth.requirement.clone();
        Self(Rc::new(Gate {
            requirement,
            mode: auth.mode,
            verifiers: Rc::clone(verifiers),
        }))
    }
}

impl<K: KeySource> Gate<K> {
    fn examine(&self, context: &Exchange, headers: &HeaderMap) -> Outcome {
        self.verifiers
            .examine(context, headers, |one| one.require(&self.requirement))
    }

    /// Applies the result of an examination.
    ///
    /// # Errors
    /// Why the request is rejected, unless the mode is `report`.
    fn settle(&self, outcome: Outcome, context: &Exchange) -> Result<(), Error> {
        match (outcome.settle(), self.mode) {
            (Ok(tokens), _) => context.let_in(tokens),
            (Err(error), Mode::Report) => context.would_deny(error.reason()),
            (Err(error), Mode::Enforce) => return Err(error),
        }
        Ok(())
    }

    /// Repeats the examination with newer keys, which may contain the key that a token names. Each
    /// provider is fetched at most once for a request.
    async fn examine_with_newer_keys(
        &self,
        mut provider: ProviderId,
        context: &Exchange,
        headers: &HeaderMap,
    ) -> Outcome {
        let mut asked = Vec::new();
        loop {
            self.verifiers.newer_keys(provider).await;
            asked.push(provider);
            match self.examine(context, headers) {
                Outcome::NeedsKeys(other) if !asked.contains(&other) => provider = other,
                outcome => return outcome,
            }
        }
    }
}

impl<K: KeySource> Step for AuthStep<K> {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let (context, headers) = (&request.context, &request.head.headers);
        let outcome = self.0.examine(context, headers);
        let Outcome::NeedsKeys(provider) = outcome else {
            return self.0.settle(outcome, context).into();
        };
        // The fields are copied only here: the head stays with the request, and an unknown key is
        // rare.
        let (gate, context, headers) = (Rc::clone(&self.0), Rc::clone(context), headers.clone());
        Verdict::wait(async move {
            let outcome = gate
                .examine_with_newer_keys(provider, &context, &headers)
                .await;
            gate.settle(outcome, &context).into()
        })
    }

    /// Keys in the configuration cannot become newer.
    fn peek(&self, request: &mut Request, _: Counting) -> Option<Verdict> {
        let (context, headers) = (&request.context, &request.head.headers);
        match self.0.examine(context, headers) {
            Outcome::NeedsKeys(provider) if self.0.verifiers.may_renew(provider) => None,
            outcome => Some(self.0.settle(outcome, context).into()),
        }
    }
}
