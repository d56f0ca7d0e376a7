//! The filter chain of a route, outermost first: the only place where filters are put in order.
//!
//! What comes before a route is known stands in [`crate::edge`], in the order of its lines;
//! `docs/architecture.md` numbers the steps of both. Each chain is generic inside and boxed once, where chains meet.

use std::rc::Rc;

use outrigger_config::model::{Action, Config, Route, WeightedBackend};
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
    forward::Forward,
    snapshot::LocalUpstream,
};

/// The chain of `route`, over the upstreams of its configuration.
pub(crate) fn build(config: &Config, route: &Route, upstreams: &Rc<[Rc<LocalUpstream>]>) -> BoxService {
    match &route.action {
        // 15: answers of our own; nothing after this step is needed.
        Action::Redirect(redirect) => guarded(route, RedirectAnswer::new(redirect)),
        Action::Respond(answer) => guarded(route, DirectAnswer::new(answer)),
        Action::Forward(backends) => forward(config, route, backends, upstreams),
    }
}

/// 10 to 12: who asks, and whether he may; before anything is done for him.
fn guarded<S>(route: &Route, service: S) -> BoxService
where
    S: HttpService,
    S::Future: 'static,
{
    let Some(rules) = &route.authorize else {
        // Most routes are open or ask for nothing: not one more step for them.
        return BoxService::new(service);
    };
    let chain = ServiceBuilder::new()
        // 11: what somebody who is known may do.
        .layer(AuthorizeLayer::new(rules))
        .service(service);
    BoxService::new(chain)
}

/// 16 to 22.
fn forward(
    config: &Config,
    route: &Route,
    backends: &[WeightedBackend],
    upstreams: &Rc<[Rc<LocalUpstream>]>,
) -> BoxService {
    let timeouts = &route.timeouts;
    // 20-22: balancing, pool, connection.
    let forward = Forward::new(config, route, backends, Rc::clone(upstreams));
    if is_plain(route) && timeouts.backend_request.is_none() {
        // Most routes change nothing: the same order without its empty places, for shorter futures.
        let layer = timeouts.request.map(|limit| TimeoutLayer::new(Scope::Request, limit));
        return guarded(route, ServiceBuilder::new().option_layer(layer).service(forward));
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
    guarded(route, chain)
}

fn is_plain(route: &Route) -> bool {
    route.request_headers.is_empty()
        && route.url_rewrite.path.is_none()
        && route.url_rewrite.hostname.is_none()
}
