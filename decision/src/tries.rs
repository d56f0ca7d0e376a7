//! Step 19: the attempts that a request may have, planned before the first one.

use http::{HeaderMap, HeaderValue, request::Parts};
use outrigger_config::model::Route;
use outrigger_filters::{
    owned_headers::{Own, X_OUTRIGGER_ATTEMPT_COUNT},
    retry::{self, Policy},
};

use crate::wire::{Sending, Wire};

/// The attempts that are permitted besides the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// `retry` applies also after a byte of the request was written.
    pub taken: bool,
    /// A second attempt beside the first is permitted.
    pub hedged: bool,
    /// Head and body are kept for another attempt.
    pub keeps: bool,
}

/// Whether requests carry the number of the attempt, in `x-outrigger-attempt-count`.
pub fn counts(route: &Route) -> bool {
    route.retry.is_some() || route.hedge.is_some()
}

/// Sets the number of the attempt: in the headers that the proxy adds, or in the fields if those
/// were inserted already.
pub fn announce(number: u32, headers: &mut HeaderMap, own: Option<&mut Own>) {
    match own {
        Some(own) => own.attempt = Some(number),
        None => drop(headers.insert(&X_OUTRIGGER_ATTEMPT_COUNT, HeaderValue::from(number))),
    }
}

/// Plans the attempts of a request; `hedges`: whether the route has `hedge` for its upstream.
pub fn plan(policy: Option<&Policy>, hedges: bool, sending: &Sending, head: &Parts) -> Tries {
    let may = !sending.upgrade;
    let takes = |policy: &Policy| policy.takes(&head.method, &head.headers);
    let taken = may && policy.is_some_and(takes);
    let hedged = may && hedges && retry::is_idempotent(&head.method, &head.headers);
    // A stream that the endpoint rejects may be sent again whatever its method, but its body is
    // gone by then.
    let refusable = sending.wire == Wire::Http2 && may && policy.is_some();
    Tries {
        taken,
        hedged,
        keeps: hedged || taken || refusable,
    }
}
