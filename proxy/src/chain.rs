//! The filter chain of a route, outermost first: the only place where filters are put in order.
//!
//! What comes before a route is known stands in [`crate::edge`], in the order of its lines;
//! `docs/architecture.md` numbers the steps of both. What answers in the end has a place for its futures; the steps in front
//! of it, those that a route has none of left out, hand that future back as it is.

use std::{rc::Rc, sync::Arc};

use outrigger_config::model::{Action, Requirement, Route, RouteId, Store, WeightedBackend};
use outrigger_filters::{
    authorize::AuthorizeLayer,
    concurrency::ConcurrencyLayer,
    ext_auth,
    fault::FaultLayer,
    headers::RequestHeadersStep,
    rate_limit::RateLimitLayer,
    rewrite::RewriteStep,
    service::{BoxService, HttpService},
    step::{self, Step},
    steps::Steps,
    timeout::TimeoutLayer,
};
use tower::ServiceBuilder;

use crate::{
    answer::{DirectAnswer, RedirectAnswer},
    auth::{AuthLayer, HandOverLayer},
    ext_auth::ExtAuthLayer,
    forward,
    mirror::MirrorStep,
    rate_limit::SharedLimitLayer,
    view::View,
};

/// The chain of a route, over what its worker has for its configuration.
pub(crate) fn build(view: &View, id: RouteId) -> BoxService {
    let route = view.config().route(id);
    let end = match &route.action {
        // 15: answers of our own; nothing after this step is needed.
        Action::Redirect(redirect) => BoxService::new(RedirectAnswer::new(redirect)),
        Action::Respond(answer) => BoxService::new(DirectAnswer::new(answer)),
        Action::Forward(backends) => changed(view, id, forward(view, id, backends)),
    };
    guarded(view, id, end)
}

/// 9 to 14: how often, who asks, and whether he may; before anything is done for him.
fn guarded(view: &View, id: RouteId, end: BoxService) -> BoxService {
    let route = view.config().route(id);
    let requirement = &route.auth.requirement;
    let (asks, verifiers) = (*requirement != Requirement::None, view.verifiers());
    let limits = |after_auth| {
        let limits = view.rate_limits(id, after_auth, Store::Pod);
        (!limits.is_empty()).then(|| RateLimitLayer::new(limits))
    };
    let shared = |after_auth| {
        let limits = view.rate_limits(id, after_auth, Store::Redis);
        let client = view.redis().filter(|_| !limits.is_empty())?;
        Some(SharedLimitLayer::new(limits, Rc::clone(client)))
    };
    let asked = view.ext_auth(id).map(|(asked, pool, counters)| ExtAuthLayer::new(asked, pool, counters));
    let gate = view.gate(id).cloned();
    Steps::default()
        // 9: before anything is verified for him.
        .then(limits(false))
        // The same over all pods: a round trip that the pod's own limits may have saved.
        .then(shared(false))
        // 10: who the client is.
        .then(asks.then(|| AuthLayer::new(&route.auth, verifiers)))
        // 11: what somebody who is known may do.
        .then(route.authorize.as_ref().map(AuthorizeLayer::new))
        // 12: what somebody outside says, who sees the token as well.
        .then(asked)
        // Behind everybody who may still want to see the token.
        .then(asks.then(|| HandOverLayer::new(requirement, verifiers)))
        // What the service said for the app, which neither the client nor a token that is taken away may stand in for.
        .then(ext_auth::HandOverLayer::new(view.config(), route))
        // 13: by what only a token or certificate says.
        .then(limits(true))
        .then(shared(true))
        // 14: whoever is let in may still have to wait for a place.
        .then(gate.map(ConcurrencyLayer::new))
        .around(end)
}

/// 16 and 17: after every decision was made on what the client sent, before anything is sent on.
fn changed(view: &View, id: RouteId, end: BoxService) -> BoxService {
    let of = Parts { view, id, route: view.config().route(id) };
    CHANGES.iter().filter_map(|line| line(&of)).collect::<step::Steps>().around(end)
}

/// What a line of the list makes its step of.
struct Parts<'a> {
    view: &'a View,
    id: RouteId,
    route: &'a Route,
}

/// One line of the list: the step, for a route that has it.
type Line = fn(&Parts<'_>) -> Option<Box<dyn Step>>;

const CHANGES: &[Line] = &[
    // 16
    rewrite,
    // Before a copy is made, which has the same fields.
    request_headers,
    // 17: what is sent on goes to another upstream as well.
    mirror,
];

fn boxed(step: impl Step + 'static) -> Box<dyn Step> {
    Box::new(step)
}

fn rewrite(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let change = &of.route.url_rewrite;
    (change.path.is_some() || change.hostname.is_some()).then(|| boxed(RewriteStep::new(change)))
}

fn request_headers(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let changes = &of.route.request_headers;
    (!changes.is_empty()).then(|| boxed(RequestHeadersStep::new(changes)))
}

fn mirror(of: &Parts<'_>) -> Option<Box<dyn Step>> {
    let (upstreams, counters) = (Rc::clone(of.view.upstreams()), of.view.mirror(of.id)?);
    MirrorStep::new(of.view.config(), of.route, upstreams, Arc::clone(counters)).map(boxed)
}

/// 18 to 22.
fn forward(view: &View, id: RouteId, backends: &[WeightedBackend]) -> BoxService {
    let route = view.config().route(id);
    // 19-22: tries, each with its time; balancing, pool, connection.
    let upstreams = Rc::clone(view.upstreams());
    match forward::repeats(route) {
        true => timed(route, forward::repeating(view.config(), route, backends, upstreams)),
        false => timed(route, forward::service(view.config(), route, backends, upstreams)),
    }
}

/// 18, around what sends the request: one future in one place.
fn timed<S>(route: &Route, forward: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    // The client's patience, over all tries.
    let timeout = route.timeouts.request.map(TimeoutLayer::new);
    let end = ServiceBuilder::new().option_layer(timeout);
    match &route.fault {
        None => BoxService::new(end.service(forward)),
        // Where the upstream's own slowness and failures come from, so that they are felt as those are.
        Some(fault) => BoxService::new(end.layer(FaultLayer::new(fault)).service(forward)),
    }
}
