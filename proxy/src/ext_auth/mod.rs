//! Step 12: a service outside decides about each request of a route, asked over the worker's own connections to it.

mod ask;

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{Response, StatusCode};
use outrigger_config::model::{self, OnError};
use outrigger_filters::{
    error::{Error, Flag},
    ext_auth::{self, DENIED, Service as Asked},
    service::{Body, Next, Request, ResponseFuture, later},
};
use tokio::time::timeout;
use tower::{Layer, Service};

use crate::{
    telemetry::metrics::{ExtAuthCounters, ExtAuthResult},
    upstream::pool::Pool,
};

/// Asks before a request goes on.
#[derive(Clone)]
pub(crate) struct ExtAuthLayer(Rc<Guard>);

struct Guard {
    asked: Asked,
    pool: Rc<Pool>,
    timeout: std::time::Duration,
    on_error: OnError,
    counters: Arc<ExtAuthCounters>,
}

impl ExtAuthLayer {
    /// `extAuth` of a route, over connections to its endpoint.
    pub(crate) fn new(accepted: &model::ExtAuth, pool: Rc<Pool>, counters: Arc<ExtAuthCounters>) -> Self {
        let asked = Asked::new(accepted);
        Self(Rc::new(Guard { asked, pool, timeout: accepted.timeout, on_error: accepted.on_error, counters }))
    }
}

impl<S> Layer<S> for ExtAuthLayer {
    type Service = ExtAuth<S>;

    fn layer(&self, inner: S) -> ExtAuth<S> {
        ExtAuth { guard: Rc::clone(&self.0), inner }
    }
}

/// Asks before a request goes on.
#[derive(Clone)]
pub(crate) struct ExtAuth<S> {
    guard: Rc<Guard>,
    inner: S,
}

impl Guard {
    /// `None` lets the request go on; else the answer to it.
    ///
    /// # Errors
    /// It is refused without an answer of the service.
    async fn decide(&self, request: &Request) -> Result<Option<Response<Body>>, Error> {
        let question = self.asked.question(&request.head, &request.context);
        let answered = match timeout(self.timeout, ask::ask(&self.pool, question)).await {
            Ok(answered) => answered,
            Err(_) => Err("no whole answer within extAuth.timeout".into()),
        };
        match answered {
            Ok(answer) if ext_auth::allows(answer.status()) => {
                self.counters.asked(ExtAuthResult::Allowed);
                request.context.grant(self.asked.granted(answer.headers()));
                Ok(None)
            }
            Ok(answer) => {
                self.counters.asked(ExtAuthResult::Denied);
                denied(self.asked.denial(answer), request).map(Some)
            }
            Err(cause) => {
                self.counters.asked(ExtAuthResult::Failed);
                match self.on_error {
                    OnError::Deny => Err(Error::ExtAuthFailed(cause)),
                    OnError::Allow => Ok(None),
                }
            }
        }
    }
}

/// The service's answer is the client's, but a gRPC call understands no other than its own form.
fn denied(answer: Response<Body>, request: &Request) -> Result<Response<Body>, Error> {
    if request.context.is_grpc.get() {
        return Err(match answer.status() {
            StatusCode::UNAUTHORIZED => Error::Unauthenticated(DENIED),
            _ => Error::Forbidden { reason: DENIED, insufficient_scope: false },
        });
    }
    request.context.blame(Flag::Uz, DENIED);
    Ok(answer)
}

impl<S: Next> Service<Request> for ExtAuth<S> {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut this = self.clone();
        later(async move {
            match this.guard.decide(&request).await? {
                Some(answer) => Ok(answer),
                None => this.inner.call(request).await,
            }
        })
    }
}
