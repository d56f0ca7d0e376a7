//! Routes.

use serde_json::Value;

use crate::{
    block::show::Object,
    listener::direction::Direction,
    model::{Config, Route},
    part::{hash_on, hostname},
    route::{
        action::Action,
        auth, authorize,
        backends::{self, WeightedBackend},
        concurrency, cors, ext_auth, fault, header_changes, hedge, matches, mirror, redirect, response,
        retry, rewrite, timeouts,
    },
};

/// One route. Keys that would be refused on a route that answers by itself are left out there.
pub(crate) fn route(config: &Config, route: &Route) -> Value {
    let listeners: Vec<Value> =
        route.listeners.iter().map(|id| (*config.listener(*id).name).into()).collect();
    let hostnames: Vec<Value> = route.hostnames.iter().map(hostname::show).collect();
    let matches: Vec<Value> = route.matches.iter().map(matches::show).collect();
    // Outbound routes refuse the key.
    let inbound = route.listeners.iter().all(|id| config.listener(*id).direction == Direction::Inbound);
    let limits: Vec<Value> =
        route.rate_limits.iter().map(|id| (*config.rate_limit(*id).name).into()).collect();
    let object = Object::new()
        .with("name", &*route.name)
        .with("listeners", listeners)
        .maybe("hostnames", (!hostnames.is_empty()).then_some(hostnames))
        .with("matches", matches)
        .maybe("rateLimits", (!limits.is_empty()).then_some(limits))
        .maybe("auth", inbound.then(|| auth::show(&route.auth, &config.jwt_providers)))
        .maybe("authorize", route.authorize.as_ref().map(authorize::show))
        .maybe("extAuth", route.ext_auth.as_ref().map(ext_auth::show))
        .maybe("cors", route.cors.as_ref().map(cors::show));
    let object = match &route.action {
        Action::Forward(backends) => forward(object, config, route, backends),
        Action::Redirect(redirect) => object.with("requestRedirect", redirect::show(redirect)),
        Action::Respond(response) => object.with("directResponse", response::show(response)),
    };
    object.maybe("responseHeaders", header_changes::show(&route.response_headers)).into()
}

fn forward(object: Object, config: &Config, route: &Route, backends: &[WeightedBackend]) -> Object {
    let backend = |item: &WeightedBackend| -> Value {
        backends::show(item, &config.upstream(item.upstream).name).into()
    };
    object
        .maybe("urlRewrite", rewrite::show(&route.url_rewrite))
        .maybe("requestHeaders", header_changes::show(&route.request_headers))
        .maybe("concurrency", route.concurrency.as_ref().map(concurrency::show))
        .maybe("hashOn", route.hash_on.as_ref().map(hash_on::show))
        .maybe(
            "requestMirror",
            route
                .request_mirror
                .as_ref()
                .map(|mirror| mirror::show(mirror, &config.upstream(mirror.upstream).name)),
        )
        .maybe("fault", route.fault.as_ref().map(fault::show))
        .with("timeouts", timeouts::show(&route.timeouts))
        .maybe("retry", route.retry.as_ref().map(retry::show))
        .maybe("hedge", route.hedge.as_ref().map(hedge::show))
        .with("backendRefs", backends.iter().map(backend).collect::<Vec<_>>())
}
