//! Step 12: a service outside decides about each request of a route, asked over the worker's own connections to it.

mod ask;

use std::{rc::Rc, sync::Arc};

use http::{Response, StatusCode};
use outrigger_config::model::{self, OnError};
use outrigger_filters::{
    context::Exchange,
    error::Error,
    ext_auth::{self, Service as Asked},
    reason::Reason,
    service::{Body, Request},
    step::{Counting, Step, Verdict},
};
use tokio::time::timeout;

use crate::{
    telemetry::metrics::{ExtAuthCounters, ExtAuthResult},
    upstream::pool::Pool,
};

/// Asks before a request goes on.
pub(crate) struct ExtAuthStep(Rc<Guard>);

struct Guard {
    asked: Asked,
    pool: Rc<Pool>,
    timeout: std::time::Duration,
    on_error: OnError,
    counters: Arc<ExtAuthCounters>,
}

impl ExtAuthStep {
    /// `extAuth` of a route, over connections to its endpoint.
    pub(crate) fn new(
        accepted: &model::ExtAuth,
        pool: Rc<Pool>,
        counters: Arc<ExtAuthCounters>,
    ) -> Self {
        let asked = Asked::new(accepted);
        Self(Rc::new(Guard {
            asked,
            pool,
            timeout: accepted.timeout,
            on_error: accepted.on_error,
            counters,
        }))
    }
}

impl Guard {
    /// What the service's answer to a question about a request comes to.
    async fn decide(&self, question: http::Request<Body>, context: &Exchange) -> Verdict {
        let answered = match timeout(self.timeout, ask::ask(&self.pool, question)).await {
            Ok(answered) => answered,
            Err(_) => Err("no whole answer within extAuth.timeout".into()),
        };
        match answered {
            Ok(answer) if ext_auth::allows(answer.status()) => {
                self.counters.asked(ExtAuthResult::Allowed);
                context.grant(self.asked.granted(answer.headers()));
                Verdict::Pass
            }
            Ok(answer) => {
                self.counters.asked(ExtAuthResult::Denied);
                denied(self.asked.denial(answer), context)
            }
            Err(cause) => {
                self.counters.asked(ExtAuthResult::Failed);
                match self.on_error {
                    OnError::Deny => Verdict::Refuse(Error::ExtAuthFailed(cause)),
                    OnError::Allow => Verdict::Pass,
                }
            }
        }
    }
}

/// The service's answer is the client's, but a gRPC call understands no other than its own form.
fn denied(answer: Response<Body>, context: &Exchange) -> Verdict {
    if context.is_grpc.get() {
        return Verdict::Refuse(match answer.status() {
            StatusCode::UNAUTHORIZED => Error::Unauthenticated(Reason::ExtAuthDenied),
            _ => Error::Forbidden(Reason::ExtAuthDenied),
        });
    }
    context.blame(Reason::ExtAuthDenied);
    Verdict::Answer(answer)
}

impl Step for ExtAuthStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let question = self.0.asked.question(&request.head, &request.context);
        let (guard, context) = (Rc::clone(&self.0), Rc::clone(&request.context));
        Verdict::wait(async move { guard.decide(question, &context).await })
    }

    /// Only the service knows.
    fn peek(&self, _: &mut Request, _: Counting) -> Option<Verdict> {
        None
    }
}
