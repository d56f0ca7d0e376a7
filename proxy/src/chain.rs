//! The filter chain of a route, outermost first: the only place where filters are put in order.
//!
//! What comes before a route is known stands in [`crate::edge`], in the order of its lines;
//! `docs/architecture.md` numbers the steps of both. Each chain is generic inside and boxed once, where chains meet.

use std::{rc::Rc, sync::Arc};

use outrigger_config::model::{Action, Requirement, Route, RouteId, Store, WeightedBackend};
use outrigger_filters::{
    authorize::AuthorizeLayer,
    concurrency::ConcurrencyLayer,
    fault::FaultLayer,
    headers::RequestHeadersLayer,
    rate_limit::RateLimitLayer,
    rewrite::RewriteLayer,
    service::{BoxService, HttpService},
    timeout::TimeoutLayer,
};
use tower::ServiceBuilder;

use crate::{
    answer::{DirectAnswer, RedirectAnswer},
    auth::{AuthLayer, HandOverLayer},
    ext_auth::ExtAuthLayer,
    forward,
    mirror::MirrorLayer,
    rate_limit::SharedLimitLayer,
    snapshot::View,
};

/// The chain of a route, over what its worker has for its configuration.
pub(crate) fn build(view: &View, id: RouteId) -> BoxService {
    let route = view.config().route(id);
    match &route.action {
        // 15: answers of our own; nothing after this step is needed.
        Action::Redirect(redirect) => guarded(view, id, RedirectAnswer::new(redirect)),
        Action::Respond(answer) => guarded(view, id, DirectAnswer::new(answer)),
        Action::Forward(backends) => forward(view, id, backends),
    }
}

/// 9 to 14: how often, who asks, and whether he may; before anything is done for him.
fn guarded<S>(view: &View, id: RouteId, service: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    let route = view.config().route(id);
    let limits = |after_auth| {
        let limits = view.rate_limits(id, after_auth, Store::Pod);
        (!limits.is_empty()).then(|| RateLimitLayer::new(limits))
    };
    let shared = |after_auth| {
        let limits = view.rate_limits(id, after_auth, Store::Redis);
        let client = view.redis().filter(|_| !limits.is_empty())?;
        Some(SharedLimitLayer::new(limits, Rc::clone(client)))
    };
    if is_open(view, id) {
        return BoxService::new(service);
    }
    let gate = view.gate(id);
    if route.rate_limits.is_empty() && gate.is_none() {
        return BoxService::new(identified(view, id, service));
    }
    let inner = ServiceBuilder::new()
        // 13: by what only a token or certificate says.
        .option_layer(limits(true))
        .option_layer(shared(true))
        // 14: whoever is let in may still have to wait for a place.
        .option_layer(gate.cloned().map(ConcurrencyLayer::new))
        .service(service);
    let chain = ServiceBuilder::new()
        // 9: before anything is verified for him.
        .option_layer(limits(false))
        // The same over all pods: a round trip that the pod's own limits may have saved.
        .option_layer(shared(false))
        .service(identified(view, id, inner));
    BoxService::new(chain)
}

/// Whether everybody may use a route, as often as he likes.
fn is_open(view: &View, id: RouteId) -> bool {
    let route = view.config().route(id);
    route.rate_limits.is_empty()
        && view.gate(id).is_none()
        && route.auth.requirement == Requirement::None
        && route.authorize.is_none()
        && view.ext_auth(id).is_none()
}

/// 10 to 12.
fn identified<S>(view: &View, id: RouteId, service: S) -> impl HttpService<Future: 'static> + use<S>
where
    S: HttpService,
    S::Future: 'static,
{
    let route = view.config().route(id);
    let requirement = &route.auth.requirement;
    let asks = *requirement != Requirement::None;
    let verifiers = view.verifiers();
    ServiceBuilder::new()
        // 10: who the client is.
        .option_layer(asks.then(|| AuthLayer::new(&route.auth, verifiers)))
        // 11: what somebody who is known may do.
        .option_layer(route.authorize.as_ref().map(AuthorizeLayer::new))
        // 12: what somebody outside says, who sees the token as well.
        .option_layer(
            view.ext_auth(id).map(|(asked, pool, counters)| ExtAuthLayer::new(asked, pool, counters)),
        )
        // Behind everybody who may still want to see the token.
        .option_layer(asks.then(|| HandOverLayer::new(requirement, verifiers)))
        .service(service)
}

/// 16 to 22.
fn forward(view: &View, id: RouteId, backends: &[WeightedBackend]) -> BoxService {
    let route = view.config().route(id);
    // 19-22: tries, each with its time; balancing, pool, connection.
    let upstreams = Rc::clone(view.upstreams());
    match forward::repeats(route) {
        true => around(view, id, forward::repeating(view.config(), route, backends, upstreams)),
        false => around(view, id, forward::service(view.config(), route, backends, upstreams)),
    }
}

/// 16 to 18, around what sends the request.
fn around<S>(view: &View, id: RouteId, forward: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    let route = view.config().route(id);
    if is_plain(route) && is_open(view, id) {
        // Most routes: the same order without its empty places, so that there is one short future in one place.
        let layer = route.timeouts.request.map(TimeoutLayer::new);
        return BoxService::new(ServiceBuilder::new().option_layer(layer).service(forward));
    }
    // Each step moves the future of the next one, so that the longest has a place of its own.
    changed(view, id, BoxService::new(forward))
}

/// The same, with all that a route may change of a request.
fn changed(view: &View, id: RouteId, forward: BoxService) -> BoxService {
    let route = view.config().route(id);
    let mirror = view.mirror(id).and_then(|counters| {
        MirrorLayer::new(view.config(), route, Rc::clone(view.upstreams()), Arc::clone(counters))
    });
    let chain = ServiceBuilder::new()
        // 16: after every decision was made on what the client sent, before anything is sent on.
        .option_layer(rewrites(route).then(|| RewriteLayer::new(&route.url_rewrite)))
        .option_layer(
            (!route.request_headers.is_empty()).then(|| RequestHeadersLayer::new(&route.request_headers)),
        )
        // 17: what is sent on goes to somebody else as well.
        .option_layer(mirror)
        // 18: the client's patience, over all tries.
        .option_layer(route.timeouts.request.map(TimeoutLayer::new))
        // Where the upstream's own slowness and failures come from, so that they are felt as those are.
        .option_layer(route.fault.as_ref().map(FaultLayer::new))
        .service(forward);
    guarded(view, id, chain)
}

fn is_plain(route: &Route) -> bool {
    route.request_headers.is_empty()
        && !rewrites(route)
        && route.fault.is_none()
        && route.request_mirror.is_none()
}

fn rewrites(route: &Route) -> bool {
    route.url_rewrite.path.is_some() || route.url_rewrite.hostname.is_some()
}
