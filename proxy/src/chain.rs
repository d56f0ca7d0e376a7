//! The filter chain of a route, outermost first: the only place that defines the order of filters.
//!
//! Steps before the route choice are in [`crate::edge`], in the order of its lines;
//! `docs/architecture.md` numbers the steps of both. The service at the end of the chain owns the
//! places of its futures. Steps that a route does not configure are omitted, and the others return
//! that future unchanged.

use std::{future::ready, rc::Rc, sync::Arc};

use outrigger_config::model::{Action, Requirement, Route, RouteId, Store, WeightedBackend};
use outrigger_decision::{
    Runtime,
    auth::{AuthStep, HandOverStep},
    respond::{self, Direct},
};
use outrigger_filters::{
    authorize::AuthorizeStep,
    concurrency::ConcurrencyStep,
    ext_auth,
    fault::FaultLayer,
    headers::RequestHeadersStep,
    maintenance::MaintenanceStep,
    rate_limit::RateLimitStep,
    rewrite::RewriteStep,
    service::{BoxService, HttpService},
    step::{Step, Steps},
    timeout::TimeoutLayer,
};
use tower::{ServiceBuilder, service_fn};

use crate::{
    ext_auth::ExtAuthStep, forward, mirror::MirrorStep, rate_limit::SharedLimitStep, view::View,
};

/// The possible steps of a route, in the order in which they run, each with its number.
const STEPS: &[(u8, Line)] = &[
    // First, so that it costs nothing else.
    (8, maintenance),
    // Before anything is verified.
    (9, limits_before_auth),
    // The same over all pods: a round trip that the pod's own limits may have saved.
    (9, shared_limits_before_auth),
    // Authentication.
    (10, auth),
    // What an authenticated client may do.
    (11, authorize),
    // The external authorization service, which gets the token as well.
    (12, ext_auth),
    // After every step that may need the token.
    (12, hand_over),
    // Last, so that headers from the service replace those of the client and of tokens.
    (12, ext_auth_hand_over),
    // Limits that count by a token or certificate.
    (13, limits_after_auth),
    (13, shared_limits_after_auth),
    // An accepted request may have to wait for a permit.
    (14, concurrency),
    // After every decision on the request as received, before it is forwarded.
    (16, rewrite),
    // Before the copy for a mirror, which has the same fields.
    (16, request_headers),
    // A copy of what is forwarded.
    (17, mirror),
];

/// The number of a response that the proxy creates itself; only the steps before it run.
const ANSWER: u8 = 15;

/// One row of the table: creates the step, for a route that has it.
type Line = fn(&Parts<'_>) -> Option<Box<dyn Step>>;

/// The inputs of a row.
struct Parts<'a> {
    view: &'a View,
    id: RouteId,
    route: &'a Route,
}

/// Builds the chain of a route, from the state of its worker.
pub(crate) fn build(view: &View, id: RouteId) -> BoxService {
    let end = match &view.config().route(id).action {
        Action::Redirect(accepted) => {
            let accepted = Rc::new(accepted.clone());
            BoxService::new(service_fn(move |request| {
                ready(respond::redirect(&accepted, &request))
            }))
        }
        Action::Respond(accepted) => {
            let direct = Direct::new(accepted);
            BoxService::new(service_fn(move |_| ready(Ok(direct.response()))))
        }
        Action::Forward(backends) => forward(view, id, backends),
    };
    steps(view, id).around(end)
}

/// The steps of a route, in their order.
pub(crate) fn steps(view: &View, id: RouteId) -> Steps {
    let route = view.config().route(id);
    let before = match &route.action {
        Action::Redirect(_) | Action::Respond(_) => ANSWER,
        Action::Forward(_) => u8::MAX,
    };
    let parts = Parts { view, id, route };
    STEPS
        .iter()
        .filter(|(number, _)| *number < before)
        .filter_map(|(_, line)| line(&parts))
        .collect()
}

impl Parts<'_> {
    fn limits(&self, after_auth: bool) -> Option<Box<dyn Step>> {
        let limits = self.view.rate_limits(self.id, after_auth, Store::Pod);
        (!limits.is_empty()).then(|| RateLimitStep::new(limits).boxed())
    }

    fn shared_limits(&self, after_auth: bool) -> Option<Box<dyn Step>> {
        let limits = self.view.rate_limits(self.id, after_auth, Store::Redis);
        let client = self.view.redis().filter(|_| !limits.is_empty())?;
        Some(SharedLimitStep::new(limits, Rc::clone(client)).boxed())
    }

    /// Whether the route uses tokens or certificates.
    fn authenticates(&self) -> bool {
        self.route.auth.requirement != Requirement::None
    }
}

fn maintenance(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let maintenance = of.route.maintenance.as_ref()?;
    Some(MaintenanceStep::new(maintenance.retry_after, &maintenance.body).boxed())
}

fn limits_before_auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.limits(false)
}

fn shared_limits_before_auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.shared_limits(false)
}

fn auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.authenticates()
        .then(|| AuthStep::new(&of.route.auth, of.view.verifiers()).boxed())
}

fn authorize(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.route
        .authorize
        .as_ref()
        .map(|rules| AuthorizeStep::new(rules).boxed())
}

fn ext_auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let (asked, pool, counters) = of.view.ext_auth(of.id)?;
    Some(ExtAuthStep::new(asked, pool, counters).boxed())
}

fn hand_over(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let (requirement, verifiers) = (&of.route.auth.requirement, of.view.verifiers());
    of.authenticates()
        .then(|| HandOverStep::new(requirement, verifiers).boxed())
}

fn ext_auth_hand_over(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    ext_auth::HandOverStep::new(of.view.config(), of.route).map(Step::boxed)
}

fn limits_after_auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.limits(true)
}

fn shared_limits_after_auth(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.shared_limits(true)
}

fn concurrency(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    of.view
        .gate(of.id)
        .map(|gate| ConcurrencyStep::new(Arc::clone(gate)).boxed())
}

fn rewrite(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let change = &of.route.url_rewrite;
    (change.path.is_some() || change.hostname.is_some()).then(|| RewriteStep::new(change).boxed())
}

fn request_headers(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let changes = &of.route.request_headers;
    (!changes.is_empty()).then(|| RequestHeadersStep::new(changes).boxed())
}

fn mirror(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let (upstreams, counters) = (Rc::clone(of.view.upstreams()), of.view.mirror(of.id)?);
    MirrorStep::new(of.view.config(), of.route, upstreams, Arc::clone(counters)).map(Step::boxed)
}

/// 18 to 22.
fn forward(view: &View, id: RouteId, backends: &[WeightedBackend]) -> BoxService {
    let route = view.config().route(id);
    // 19-22: attempts, each with its timeout; load balancing, pool, connection.
    let upstreams = Rc::clone(view.upstreams());
    match forward::repeats(route) {
        true => timed(
            route,
            forward::repeating(view.config(), route, backends, upstreams),
        ),
        false => timed(
            route,
            forward::service(view.config(), route, backends, upstreams),
        ),
    }
}

/// 18: the timeout around the forwarder, whose future has one place.
fn timed<S>(route: &Route, forward: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    // The request timeout, over all attempts.
    let timeout = route.timeouts.request.map(TimeoutLayer::new);
    let end = ServiceBuilder::new().option_layer(timeout);
    match &route.fault {
        None => BoxService::new(end.service(forward)),
        // Where an upstream's own delays and failures would occur, so that they have the same
        // effects.
        Some(fault) => BoxService::new(end.layer(FaultLayer::new(fault)).service(forward)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_in_the_order_of_their_numbers_and_none_beside_an_answer_of_our_own() {
        let numbers: Vec<u8> = STEPS.iter().map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(!numbers.contains(&ANSWER));
    }
}
