//! The filter chain of a route, outermost first: the only place where filters are put in order.
//!
//! What comes before a route is known stands in [`crate::edge`], in the order of its lines;
//! `docs/architecture.md` numbers the steps of both. Each chain is generic inside and boxed once, where chains meet.

use std::rc::Rc;

use outrigger_config::model::{Action, Requirement, Route, RouteId, WeightedBackend};
use outrigger_filters::{
    authorize::AuthorizeLayer,
    headers::RequestHeadersLayer,
    rewrite::RewriteLayer,
    service::{BoxService, HttpService},
    timeout::{Scope, TimeoutLayer},
};
use tower::ServiceBuilder;

use crate::{
    answer::{DirectAnswer, RedirectAnswer},
    auth::{AuthLayer, HandOverLayer},
    ext_auth::ExtAuthLayer,
    forward,
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

/// 10 to 12: who asks, and whether he may; before anything is done for him.
fn guarded<S>(view: &View, id: RouteId, service: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    let route = view.config().route(id);
    let requirement = &route.auth.requirement;
    let asks = *requirement != Requirement::None;
    let ext_auth = view.ext_auth(id);
    if !asks && route.authorize.is_none() && ext_auth.is_none() {
        // Not one more step for routes that are open to everybody.
        return BoxService::new(service);
    }
    let verifiers = view.verifiers();
    let chain = ServiceBuilder::new()
        // 10: who the client is.
        .option_layer(asks.then(|| AuthLayer::new(&route.auth, verifiers)))
        // 11: what somebody who is known may do.
        .option_layer(route.authorize.as_ref().map(AuthorizeLayer::new))
        // 12: what somebody outside says, who sees the token as well.
        .option_layer(ext_auth.map(|(asked, pool, counters)| ExtAuthLayer::new(asked, pool, counters)))
        // Behind everybody who may still want to see the token.
        .option_layer(asks.then(|| HandOverLayer::new(requirement, verifiers)))
        .service(service);
    BoxService::new(chain)
}

/// 16 to 22.
fn forward(view: &View, id: RouteId, backends: &[WeightedBackend]) -> BoxService {
    let route = view.config().route(id);
    let timeouts = &route.timeouts;
    // 20-22: balancing, pool, connection.
    let forward = forward::service(view.config(), route, backends, Rc::clone(view.upstreams()));
    if is_plain(route) && timeouts.backend_request.is_none() {
        // Most routes change nothing: the same order without its empty places, for shorter futures.
        let layer = timeouts.request.map(|limit| TimeoutLayer::new(Scope::Request, limit));
        return guarded(view, id, ServiceBuilder::new().option_layer(layer).service(forward));
    }
    let chain = ServiceBuilder::new()
        // 16: after every decision was made on what the client sent, before anything is sent on.
        .layer(RewriteLayer::new(&route.url_rewrite))
        .layer(RequestHeadersLayer::new(&route.request_headers))
        // 18: the client's patience, over all tries.
        .option_layer(timeouts.request.map(|limit| TimeoutLayer::new(Scope::Request, limit)))
        // 20: one try's share of it.
        .option_layer(timeouts.backend_request.map(|limit| TimeoutLayer::new(Scope::Backend, limit)))
        .service(forward);
    guarded(view, id, chain)
}

fn is_plain(route: &Route) -> bool {
    route.request_headers.is_empty()
        && route.url_rewrite.path.is_none()
        && route.url_rewrite.hostname.is_none()
}
