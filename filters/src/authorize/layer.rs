//! The thin shell around [`super::Rules`].

use std::{
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::Response;
use outrigger_config::model::{self, Mode};
use tower::{Layer, Service};

use super::{Decision, INSUFFICIENT_SCOPE, Rules, Subject};
use crate::{
    error::Error,
    service::{Body, Next, Request, ResponseFuture, refused},
};

/// Refuses what the rules of a route deny.
#[derive(Debug, Clone)]
pub struct AuthorizeLayer(Rc<Guard>);

#[derive(Debug)]
struct Guard {
    rules: Rules,
    mode: Mode,
}

impl AuthorizeLayer {
    /// `authorize` of a route.
    pub fn new(accepted: &model::Authorize) -> Self {
        Self(Rc::new(Guard { rules: Rules::new(accepted), mode: accepted.mode }))
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { guard: Rc::clone(&self.0), inner }
    }
}

/// Refuses what the rules of a route deny.
#[derive(Debug, Clone)]
pub struct Authorize<S> {
    guard: Rc<Guard>,
    inner: S,
}

impl Guard {
    /// # Errors
    /// The rules deny it, and they are not only tried out.
    fn admit(&self, request: &Request) -> Result<(), Error> {
        let context = &request.context;
        let subject = Subject {
            method: &request.head.method,
            claims: &**context,
            identity: context.identity.as_deref(),
            address: context.client_address.get(),
        };
        let Decision::Deny { rule, reason } = self.rules.decide(&subject) else { return Ok(()) };
        let insufficient_scope = reason == INSUFFICIENT_SCOPE;
        if let Some(rule) = rule {
            context.refused_by(rule);
        }
        match self.mode {
            Mode::Enforce => Err(Error::Forbidden { reason, insufficient_scope }),
            Mode::Report => {
                context.would_deny(reason);
                Ok(())
            }
        }
    }
}

impl<S: Next> Service<Request> for Authorize<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.guard.admit(&request) {
            Ok(()) => self.inner.call(request),
            Err(error) => refused(error),
        }
    }
}
