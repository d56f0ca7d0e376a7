//! The step around [`Limit`].

use std::sync::Arc;

use super::{Limit, limiter::nanos};
use crate::{
    service::Request,
    step::{Counting, Step, Verdict},
};

/// Rejects requests that exceed one of several limits. They are checked in order: each counts only
/// requests that passed the limits before it.
#[derive(Debug)]
pub struct RateLimitStep(Vec<Arc<Limit>>);

impl RateLimitStep {
    /// These limits.
    pub fn new(limits: Vec<Arc<Limit>>) -> Self {
        Self(limits)
    }
}

impl Step for RateLimitStep {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let now = nanos(request.context.started);
        self.0
            .iter()
            .try_for_each(|limit| limit.admit(request, now))
            .into()
    }

    fn peek(&self, request: &mut Request, counting: Counting) -> Option<Verdict> {
        if counting == Counting::Yes {
            return Some(self.on_request(request));
        }
        let now = nanos(request.context.started);
        let peeked = self.0.iter().try_for_each(|limit| limit.peek(request, now));
        Some(peeked.into())
    }
}
