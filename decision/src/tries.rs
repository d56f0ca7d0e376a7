//! Step 19: which tries a request may have, before its first one.

use http::{HeaderMap, HeaderValue, request::Parts};
use outrigger_config::model::Route;
use outrigger_filters::{
    owned_headers::{Own, X_OUTRIGGER_ATTEMPT_COUNT},
    retry::{self, Policy},
};

use crate::wire::{Sending, Wire};

/// Which tries one request may have beside its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// `retry` takes it also after a byte of it was written.
    pub taken: bool,
    /// There may be a second try beside the first.
    pub hedged: bool,
    /// Its head and body are kept for another try.
    pub keeps: bool,
}

/// Whether a request to an endpoint says which try it is, in `x-outrigger-attempt-count`.
pub fn counts(route: &Route) -> bool {
    route.retry.is_some() || route.hedge.is_some()
}

/// Tells which try it is, beside what the proxy itself says about a request, or among the fields where that stands there
/// already.
pub fn announce(number: u32, headers: &mut HeaderMap, own: Option<&mut Own>) {
    match own {
        Some(own) => own.attempt = Some(number),
        None => drop(headers.insert(&X_OUTRIGGER_ATTEMPT_COUNT, HeaderValue::from(number))),
    }
}

/// Decides for a request that is about to be sent; `hedges`: whether the route has `hedge` for its upstream.
pub fn plan(policy: Option<&Policy>, hedges: bool, sending: &Sending, head: &Parts) -> Tries {
    let may = !sending.upgrade;
    let takes = |policy: &Policy| policy.takes(&head.method, &head.headers);
    let taken = may && policy.is_some_and(takes);
    let hedged = may && hedges && retry::is_idempotent(&head.method, &head.headers);
    // A stream that is refused may go again whatever its method, and its body is gone by then.
    let refusable = sending.wire == Wire::Http2 && may && policy.is_some();
    Tries {
        taken,
        hedged,
        keeps: hedged || taken || refusable,
    }
}
