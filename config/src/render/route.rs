//! Routes.

use serde_json::{Map, Value};

use crate::{
    block::show::{Object, text},
    model::{
        Action, Config, DirectResponse, Direction, PathMatch, PathRewrite, Redirect, Route, RouteMatch,
        UrlRewrite, WeightedBackend,
    },
    part::{claim, headers, hostname, scheme::Scheme, value_match},
    render::{auth, retry, upstream::hash_on},
    route::{concurrency, cors, fault, header_changes, mirror, timeouts},
};

/// One route. Keys that would be refused on a route that answers by itself are left out there.
pub(crate) fn route(config: &Config, route: &Route) -> Value {
    let listeners: Vec<Value> =
        route.listeners.iter().map(|id| (*config.listener(*id).name).into()).collect();
    let hostnames: Vec<Value> = route.hostnames.iter().map(hostname::show).collect();
    let matches: Vec<Value> = route.matches.iter().map(route_match).collect();
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
        .maybe("auth", inbound.then(|| auth::auth(config, &route.auth)))
        .maybe("authorize", route.authorize.as_ref().map(auth::authorize))
        .maybe("extAuth", route.ext_auth.as_ref().map(auth::ext_auth))
        .maybe("cors", route.cors.as_ref().map(cors::show));
    let object = match &route.action {
        Action::Forward(backends) => forward(object, config, route, backends),
        Action::Redirect(redirect) => object.with("requestRedirect", redirect_to(redirect)),
        Action::Respond(response) => object.with("directResponse", respond(response)),
    };
    object.maybe("responseHeaders", header_changes::show(&route.response_headers)).into()
}

fn forward(object: Object, config: &Config, route: &Route, backends: &[WeightedBackend]) -> Object {
    let backend = |item: &WeightedBackend| -> Value {
        Object::new().with("name", &*config.upstream(item.upstream).name).with("weight", item.weight).into()
    };
    object
        .maybe("urlRewrite", url_rewrite(&route.url_rewrite))
        .maybe("requestHeaders", header_changes::show(&route.request_headers))
        .maybe("concurrency", route.concurrency.as_ref().map(concurrency::show))
        .maybe("hashOn", route.hash_on.as_ref().map(hash_on))
        .maybe(
            "requestMirror",
            route
                .request_mirror
                .as_ref()
                .map(|mirror| mirror::show(mirror, &config.upstream(mirror.upstream).name)),
        )
        .maybe("fault", route.fault.as_ref().map(fault::show))
        .with("timeouts", timeouts::show(&route.timeouts))
        .maybe("retry", route.retry.as_ref().map(retry::retry))
        .maybe("hedge", route.hedge.as_ref().map(retry::hedge))
        .with("backendRefs", backends.iter().map(backend).collect::<Vec<_>>())
}

fn route_match(item: &RouteMatch) -> Value {
    let path = match &item.path {
        PathMatch::Exact(path) => ("exact", text(path)),
        PathMatch::Prefix(path) => ("prefix", text(path)),
        PathMatch::Template(template) => ("template", text(&template.source)),
        PathMatch::Regex(pattern) => ("regex", text(pattern.as_str())),
    };
    let headers: Map<_, _> = item
        .headers
        .iter()
        .map(|header| (header.name.to_string(), value_match::show(&header.value)))
        .collect();
    let params: Map<_, _> = item
        .query_params
        .iter()
        .map(|param| (param.name.to_string(), value_match::show(&param.value)))
        .collect();
    Object::new()
        .with("path", Object::new().with(path.0, path.1))
        .maybe("method", item.method.as_ref().map(ToString::to_string))
        .maybe("scheme", item.scheme.map(Scheme::as_str))
        .maybe("headers", (!headers.is_empty()).then_some(headers))
        .maybe("queryParams", (!params.is_empty()).then_some(params))
        .maybe("claims", claim::show(&item.claims))
        .into()
}

fn redirect_to(redirect: &Redirect) -> Object {
    Object::new()
        .maybe("scheme", redirect.scheme.as_deref())
        .maybe("hostname", redirect.hostname.as_deref().map(text))
        .maybe("port", redirect.port)
        .maybe("path", redirect.path.as_ref().map(path_rewrite))
        .with("statusCode", redirect.status.as_u16())
}

fn respond(response: &DirectResponse) -> Object {
    Object::new().with("status", response.status.as_u16()).with("body", text(&response.body))
}

fn url_rewrite(rewrite: &UrlRewrite) -> Option<Object> {
    let object = Object::new()
        .maybe("hostname", rewrite.hostname.as_ref().map(headers::show))
        .maybe("path", rewrite.path.as_ref().map(path_rewrite));
    (rewrite != &UrlRewrite::default()).then_some(object)
}

fn path_rewrite(rewrite: &PathRewrite) -> Object {
    match rewrite {
        PathRewrite::ReplacePrefixMatch(path) => Object::new().with("replacePrefixMatch", text(path)),
        PathRewrite::ReplaceFull(path) => Object::new().with("replaceFull", text(path)),
    }
}
