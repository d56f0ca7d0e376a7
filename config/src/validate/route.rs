//! Routes: names, listeners, timeouts; matches and actions have their own files.

use std::collections::HashSet;

use crate::{
    block::{
        At, name,
        problem::{Place, Report},
    },
    files::Files,
    listener::direction::Direction,
    model::Route,
    part::{
        hostname::{self, Hostname},
        id::{ListenerId, UpstreamId},
        path::{EncodedSlash, Rules},
    },
    route::{
        action::{self, Action},
        auth::Asking,
        authorize,
        backends::WeightedBackend,
        concurrency,
        context::Context,
        cors, ext_auth, fault, hash_on,
        header_changes::{self, HeaderChanges},
        hedge,
        matches::{self, only_prefixes},
        mirror, rate_limits, retry,
        rewrite::{self, UrlRewrite},
        timeouts,
    },
    schema::{DefaultsBlock, File, RouteBlock},
};

/// Checks all routes; without any, everything goes to the app.
pub(crate) fn routes(
    file: &File,
    context: &Context<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let none = DefaultsBlock::default();
    let inherited = file.defaults.as_ref().map_or(&none, |defaults| &defaults.value);
    // Also when every route writes its own.
    let nobody = Asking { name: "", direction: Direction::Inbound, listeners: &[], context };
    nobody.auth(None, inherited.auth.as_ref(), report);
    rate_limits::named(inherited.rate_limits.as_ref(), context, report);
    let Some(written) = &file.routes else {
        return default_routes(file, inherited, context, report);
    };
    if written.value.is_empty() {
        let help = "add a route, or remove the key to send everything to the app";
        report.error(&written.place, "empty-list", "there is no route", help);
    }
    let mut routes: Vec<Route> = Vec::with_capacity(written.value.len());
    let mut taken = name::Taken::of("route");
    for item in &written.value {
        if let Some(name) = &item.value.name {
            name::check(&name.value, &name.place, report);
            taken.take(&name.value, &name.place, report);
        }
        routes.push(route(item, inherited, context, files, report));
    }
    unused_listeners(file, context, &routes, report);
    routes
}

fn default_routes(
    file: &File,
    inherited: &DefaultsBlock,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let listeners = context.inbound();
    if !context.has_app {
        if let Some(upstreams) = &file.upstreams {
            let help = "add `routes`, or an `app` that everything goes to";
            report.error(&upstreams.place, "missing-key", "no route leads to these upstreams", help);
        }
        return Vec::new();
    }
    if listeners.is_empty() {
        let place = file.listeners.as_ref().map_or_else(Place::root, |listeners| listeners.place.clone());
        let help = "add an inbound listener, or `routes` that name the outbound ones";
        report.error(&place, "missing-key", "no route leads anywhere: every listener is outbound", help);
    }
    let asking = Asking { name: "app", direction: Direction::Inbound, listeners: &listeners, context };
    let auth = asking.auth(None, inherited.auth.as_ref(), report);
    let rate_limits = rate_limits::inherited(inherited.rate_limits.as_ref(), &auth, &asking, report);
    let timeouts = timeouts::accept(None, inherited.timeouts.as_ref(), report);
    let route = Route {
        name: "app".into(),
        listeners,
        hostnames: Vec::new(),
        matches: vec![matches::every_path()],
        cors: cors::accept(None, inherited.cors.as_ref(), report),
        rate_limits,
        auth,
        authorize: None,
        ext_auth: None,
        concurrency: None,
        hash_on: None,
        request_mirror: None,
        fault: None,
        url_rewrite: UrlRewrite::default(),
        request_headers: header_changes::accept(None, inherited.request_headers.as_ref(), report),
        response_headers: header_changes::accept(None, inherited.response_headers.as_ref(), report),
        retry: retry::accept(None, inherited.retry.as_ref(), &timeouts, report),
        timeouts,
        hedge: None,
        action: Action::Forward(vec![WeightedBackend { upstream: UpstreamId(0), weight: 1 }]),
    };
    let routes = vec![route];
    unused_listeners(file, context, &routes, report);
    routes
}

fn route(
    item: &At<RouteBlock>,
    inherited: &DefaultsBlock,
    context: &Context<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Route {
    let block = &item.value;
    let (listeners, direction) = listeners(item, context, report);
    let rules = path_rules(&listeners, context);
    let matches = matches::accept(block.matches.as_ref(), rules, report);
    let prefixes = only_prefixes(&matches);
    let place = block.name.as_ref().map_or(&item.place, |name| &name.place);
    let written = action::Written {
        backend_refs: block.backend_refs.as_ref(),
        direct_response: block.direct_response.as_ref(),
        request_redirect: block.request_redirect.as_ref(),
        place,
    };
    let action = action::accept(&written, direction, prefixes, context, report);
    let forwards = matches!(action, Action::Forward(_));
    if !forwards {
        without_effect(block, report);
    }
    // What only matters when something is sent on has one value when nothing is.
    let inherited_timeouts = inherited.timeouts.as_ref().filter(|_| forwards);
    let inherited_retry = inherited.retry.as_ref().filter(|_| forwards);
    let inherited_changes = inherited.request_headers.as_ref().filter(|_| forwards);
    let name = block.name.as_ref().map_or("", |name| &name.value);
    let asking = Asking { name, direction, listeners: &listeners, context };
    let auth = asking.auth(block.auth.as_ref(), inherited.auth.as_ref(), report);
    let rate_limits = match &block.rate_limits {
        Some(own) => rate_limits::own(own, &auth, &asking, report),
        None => rate_limits::inherited(inherited.rate_limits.as_ref(), &auth, &asking, report),
    };
    let authorize =
        block.authorize.as_ref().map(|written| authorize::accept(written, &auth, &asking, report));
    let timeouts = timeouts::accept(block.timeouts.as_ref().filter(|_| forwards), inherited_timeouts, report);
    matches::claims_are_known(block.matches.as_ref(), direction, context, report);
    if direction == Direction::Inbound {
        matches::headers_are_still_there(block.matches.as_ref(), context, report);
    }
    Route {
        name: name.into(),
        listeners,
        hostnames: hostnames(block, report),
        matches,
        cors: cors::accept(block.cors.as_ref(), inherited.cors.as_ref(), report),
        rate_limits,
        auth,
        authorize,
        ext_auth: block
            .ext_auth
            .as_ref()
            .and_then(|block| ext_auth::accept(&block.value, context.providers, files, report)),
        concurrency: block.concurrency.as_ref().map(|block| concurrency::accept(&block.value, report)),
        hash_on: hash_on::accept(block.hash_on.as_ref(), &action, report),
        request_mirror: block
            .request_mirror
            .as_ref()
            .and_then(|block| mirror::accept(&block.value, context, report)),
        fault: block.fault.as_ref().map(|block| fault::accept(block, report)),
        url_rewrite: rewrite::accept(block.url_rewrite.as_ref(), prefixes, report),
        request_headers: match forwards {
            true => header_changes::accept(block.request_headers.as_ref(), inherited_changes, report),
            false => HeaderChanges::default(),
        },
        response_headers: header_changes::accept(
            block.response_headers.as_ref(),
            inherited.response_headers.as_ref(),
            report,
        ),
        retry: retry::accept(block.retry.as_ref().filter(|_| forwards), inherited_retry, &timeouts, report),
        timeouts,
        hedge: hedge::accept(block.hedge.as_ref().filter(|_| forwards), &action, context.upstreams, report),
        action,
    }
}

/// The listeners a route serves, and their direction.
fn listeners(
    item: &At<RouteBlock>,
    context: &Context<'_>,
    report: &mut Report,
) -> (Vec<ListenerId>, Direction) {
    let Some(written) = &item.value.listeners else {
        let inbound = context.inbound();
        if inbound.is_empty() {
            let place = item.value.name.as_ref().map_or(&item.place, |name| &name.place);
            let help = "name the outbound listeners it serves: `listeners: […]`";
            report.error(place, "missing-key", "the route serves no listener: none is inbound", help);
        }
        return (inbound, Direction::Inbound);
    };
    if written.value.is_empty() {
        let help = "name a listener, or remove the key to serve all inbound ones";
        report.error(&written.place, "empty-list", "the route serves no listener", help);
    }
    let mut ids: Vec<ListenerId> = Vec::new();
    for reference in &written.value {
        let found = context.ids().find(|(_, listener)| *listener.name == *reference.value);
        let Some((id, listener)) = found else {
            let known = context.listeners.iter().map(|listener| &*listener.name);
            name::unresolved("listener", &reference.value, &reference.place, known, report);
            continue;
        };
        if ids.contains(&id) {
            let message = format!("the listener `{}` is named twice", reference.value);
            report.error(&reference.place, "duplicate-reference", message, "name it once");
        } else if ids.first().is_some_and(|first| context.listener(*first).direction != listener.direction) {
            let message = "a route serves inbound or outbound listeners, not both";
            report.error(&reference.place, "mixed-directions", message, "write one route for each direction");
        } else {
            ids.push(id);
        }
    }
    let direction = ids.first().map_or(Direction::Inbound, |id| context.listener(*id).direction);
    (ids, direction)
}

fn path_rules(listeners: &[ListenerId], context: &Context<'_>) -> Rules {
    let mut rules = Rules { encoded_slash: EncodedSlash::Reject, double_slash: false };
    for id in listeners {
        let paths = &context.listener(*id).paths;
        rules.double_slash |= !paths.merge_slashes;
        if paths.encoded_slash == EncodedSlash::Keep {
            rules.encoded_slash = EncodedSlash::Keep;
        }
    }
    rules
}

fn hostnames(block: &RouteBlock, report: &mut Report) -> Vec<Hostname> {
    let Some(written) = &block.hostnames else { return Vec::new() };
    if written.value.is_empty() {
        let help = "name a host, or remove the key to take every host";
        report.error(&written.place, "empty-list", "the route takes no host", help);
    }
    let mut hostnames: Vec<Hostname> = Vec::new();
    let mut named = HashSet::new();
    for item in &written.value {
        let Some(hostname) = hostname::pattern(item, report) else { continue };
        if named.insert(hostname.clone()) {
            hostnames.push(hostname);
        } else {
            let message = format!("the host {:?} is named twice", item.value);
            report.error(&item.place, "duplicate-reference", message, "name it once");
        }
    }
    hostnames
}

fn unused_listeners(file: &File, context: &Context<'_>, routes: &[Route], report: &mut Report) {
    let Some(written) = file.listeners.as_ref().filter(|_| !report.has_errors()) else { return };
    for ((id, listener), item) in context.ids().zip(&written.value) {
        if routes.is_empty() || routes.iter().any(|route| route.listeners.contains(&id)) {
            continue;
        }
        let place = item.value.name.as_ref().map_or_else(|| item.place.clone(), |name| name.place.clone());
        let message =
            format!("no route serves the listener `{}`; it answers everything with 404", listener.name);
        let help = format!("add `listeners: [{}]` to a route, or remove the listener", listener.name);
        report.warning(&place, "unused-listener", message, help);
    }
}

/// Reports keys that change nothing on a route that answers by itself.
fn without_effect(block: &RouteBlock, report: &mut Report) {
    let keys = [
        ("urlRewrite", block.url_rewrite.as_ref().map(|at| &at.place)),
        ("requestHeaders", block.request_headers.as_ref().map(|at| &at.place)),
        ("concurrency", block.concurrency.as_ref().map(|at| &at.place)),
        ("hashOn", block.hash_on.as_ref().map(|at| &at.place)),
        ("requestMirror", block.request_mirror.as_ref().map(|at| &at.place)),
        ("fault", block.fault.as_ref().map(|at| &at.place)),
        ("timeouts", block.timeouts.as_ref().map(|at| &at.place)),
        ("retry", block.retry.as_ref().map(|at| &at.place)),
        ("hedge", block.hedge.as_ref().map(|at| &at.place)),
    ];
    for (key, place) in keys {
        if let Some(place) = place {
            let message = format!("`{key}` has no effect on a route that answers by itself");
            report.error(place, "conflicting-keys", message, "remove it");
        }
    }
}
