//! Step 12: an external service decides about each request of a route, over the worker's own
//! connections to it.

mod ask;

use std::{rc::Rc, sync::Arc};

use http::{Response, StatusCode};
use outrigger_config::model::{self, OnError};
use outrigger_filters::{
    context::Exchange,
    error::Error,
    ext_auth::{self, Service},
    reason::Reason,
    service::{Body, Request},
    step::{Counting, Step, Verdict},
};
use tokio::time::timeout;

use crate::{
    telemetry::metrics::{ExtAuthCounters, ExtAuthResult},
    upstream::pool::Pool,
};

/// Sends a check before a request continues.
pub(crate) struct ExtAuthStep(Rc<Guard>);

struct Guard {
    service: Service,
    pool: Rc<Pool>,
    timeout: std::time::Duration,
    on_error: OnError,
    counters: Arc<ExtAuthCounters>,
}

impl ExtAuthStep {
    /// `extAuth` of a route, with the connections to its service.
    pub(crate) fn new(
        accepted: &model::ExtAuth,
        pool: Rc<Pool>,
        counters: Arc<ExtAuthCounters>,
    ) -> Self {
        let service = Service::new(accepted);
        Self(Rc::new(Guard {
            service,
            pool,
            timeout: accepted.timeout,
            on_error: accepted.on_error,
            counters,
        }))
    }
}

impl Guard {
    /// The verdict for a request, from the service's response.
    async fn decide(&self, question: http::Request<Body>, context: &Exchange) -> Verdict {
        let answered = match timeout(self.timeout, ask::ask(&self.pool, question)).await {
            Ok(answered) => answered,
            Err(_) => Err("no complete response within extAuth.timeout".into()),
        };
        match answered {
            Ok(answer) if ext_auth::allows(answer.status()) => {
                self.counters.asked(ExtAuthResult::Allowed);
                context.grant(self.service.granted(answer.headers()));
                Verdict::Pass
            }
            Ok(answer) => {
                self.counters.asked(ExtAuthResult::Denied);
                denied(self.service.denial(answer), context)
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

/// The client gets the service's response; a gRPC call gets the gRPC form, because it can read no
/// other.
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
        let question = self.0.service.question(&request.head, &request.context);
        let (guard, context) = (Rc::clone(&self.0), Rc::clone(&request.context));
        Verdict::wait(async move { guard.decide(question, &context).await })
    }

    /// Only the service can decide.
    fn peek(&self, _: &mut Request, _: Counting) -> Option<Verdict> {
        None
    }
}
