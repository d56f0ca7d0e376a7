//! `auth` of a route.

use std::{
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::Response;
use outrigger_config::model::{Auth, Mode, ProviderId, Requirement};
use outrigger_filters::{
    error::Error,
    jwt::Outcome,
    service::{Body, Next, Request, ResponseFuture, later, refused},
};
use tower::{Layer, Service};

use super::Verifiers;

/// Lets in whom the route's requirement takes.
#[derive(Clone)]
pub(crate) struct AuthLayer(Rc<Gate>);

struct Gate {
    requirement: Requirement,
    mode: Mode,
    verifiers: Rc<Verifiers>,
}

impl AuthLayer {
    /// `auth` of a route.
    pub(crate) fn new(auth: &Auth, verifiers: &Rc<Verifiers>) -> Self {
        let requirement = auth.requirement.clone();
        Self(Rc::new(Gate { requirement, mode: auth.mode, verifiers: Rc::clone(verifiers) }))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { gate: Rc::clone(&self.0), inner }
    }
}

/// Lets in whom the route's requirement takes.
#[derive(Clone)]
pub(crate) struct Authenticate<S> {
    gate: Rc<Gate>,
    inner: S,
}

impl Gate {
    fn examine(&self, request: &Request) -> Outcome {
        self.verifiers.examine(&request.context, &request.head.headers, |one| one.require(&self.requirement))
    }

    /// The end of an examination.
    ///
    /// # Errors
    /// Why the request is refused, unless that is only tried out.
    fn settle(&self, outcome: Outcome, request: &Request) -> Result<(), Error> {
        match (outcome.settle(), self.mode) {
            (Ok(tokens), _) => request.context.let_in(tokens),
            (Err(error), Mode::Report) => request.context.would_deny(error.reason()),
            (Err(error), Mode::Enforce) => return Err(error),
        }
        Ok(())
    }

    /// Newer keys may have the one that a token names. Each provider is asked at most once for a request.
    async fn examine_with_newer_keys(&self, mut provider: ProviderId, request: &Request) -> Outcome {
        let mut asked = Vec::new();
        loop {
            self.verifiers.newer_keys(provider).await;
            asked.push(provider);
            match self.examine(request) {
                Outcome::NeedsKeys(other) if !asked.contains(&other) => provider = other,
                outcome => return outcome,
            }
        }
    }
}

impl<S: Next> Service<Request> for Authenticate<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let outcome = self.gate.examine(&request);
        if let Outcome::NeedsKeys(provider) = outcome {
            let mut this = self.clone();
            return later(async move {
                let outcome = this.gate.examine_with_newer_keys(provider, &request).await;
                this.gate.settle(outcome, &request)?;
                this.inner.call(request).await
            });
        }
        match self.gate.settle(outcome, &request) {
            Ok(()) => self.inner.call(request),
            Err(error) => refused(error),
        }
    }
}
