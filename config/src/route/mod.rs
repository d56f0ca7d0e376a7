//! `routes`: matches and actions for requests; each of its blocks has a file of its own.

pub(crate) mod action;
pub(crate) mod auth;
pub(crate) mod authorize;
pub(crate) mod backends;
pub(crate) mod concurrency;
pub(crate) mod context;
pub(crate) mod cors;
pub(crate) mod defaults;
pub(crate) mod ext_auth;
pub(crate) mod fault;
pub(crate) mod hash_on;
pub(crate) mod header_changes;
pub(crate) mod hedge;
pub(crate) mod hostnames;
pub(crate) mod listeners;
pub(crate) mod maintenance;
pub(crate) mod matches;
pub(crate) mod mirror;
pub(crate) mod rate_limits;
pub(crate) mod redirect;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod rewrite;
pub(crate) mod timeouts;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    block::{
        At, Either, Word, block, name,
        problem::{Place, Report},
        show::Object,
    },
    files::Files,
    listener::direction::Direction,
    part::{
        hash_on::{HashOn, HashOnBlock},
        hostname::{self, Hostname},
        id::{ListenerId, RateLimitId, UpstreamId},
        words::ClientIp,
    },
    route::{
        action::Action,
        auth::{Auth, AuthContext, AuthValue},
        authorize::{Authorize, AuthorizeBlock},
        backends::{BackendRefBlock, WeightedBackend},
        concurrency::{Concurrency, ConcurrencyBlock},
        context::{Context, Lists},
        cors::{Cors, CorsBlock},
        defaults::DefaultsBlock,
        ext_auth::{ExtAuth, ExtAuthBlock},
        fault::{Fault, FaultBlock},
        header_changes::{HeaderChanges, HeaderChangesBlock},
        hedge::{Hedge, HedgeBlock},
        maintenance::{Maintenance, MaintenanceBlock},
        matches::{MatchBlock, RouteMatch, only_prefixes},
        mirror::{Mirror, MirrorBlock},
        redirect::RedirectBlock,
        response::DirectResponseBlock,
        retry::{Retry, RetryBlock},
        rewrite::{UrlRewrite, UrlRewriteBlock},
        timeouts::{RouteTimeouts, RouteTimeoutsBlock},
    },
};

block! {
    /// A route: matches, and what happens to matching requests.
    RouteBlock {
        /// A DNS label, unique among routes.
        "name" name: String,
        /// Names of the listeners that the route serves. Default: all inbound ones.
        "listeners" listeners: Vec<At<String>>,
        /// Host names, exact or `*.example.com` (one or more labels); a trailing dot is ignored.
        /// Default: every host.
        "hostnames" hostnames: Vec<At<String>>,
        /// Matches, of which one must match. Default: every path.
        "matches" matches: Vec<At<MatchBlock>>,
        /// Names of limits in `rateLimits`; a request must be within all of them. Default: those of
        /// `defaults`, on inbound routes.
        "rateLimits" rate_limits: Vec<At<String>>,
        /// Required credentials, or `none` for an open route; inbound routes only. Default: that of
        /// `defaults`, else a token of any provider if there is one.
        "auth" auth: AuthValue,
        /// Authorization rules for authenticated requests. Default: all requests are allowed.
        "authorize" authorize: AuthorizeBlock,
        /// A response with status 503 for all requests. Default: none.
        "maintenance" maintenance: MaintenanceBlock,
        /// Limit on in-flight requests. Default: no limit.
        "concurrency" concurrency: ConcurrencyBlock,
        /// External authorization service, called for every request after `auth` and `authorize`.
        "extAuth" ext_auth: ExtAuthBlock,
        /// Cross-origin access to responses (CORS).
        "cors" cors: CorsBlock,
        /// Upstreams by weight; an item may be a plain name. Default: the app, on inbound routes.
        "backendRefs" backend_refs: Vec<At<Either<String, BackendRefBlock>>>,
        /// Hash key for the choice among several `backendRefs`, so that requests with the same key
        /// go to the same upstream: `clientIP`, or a header or cookie. Default: random for each
        /// request.
        "hashOn" hash_on: Either<Word<ClientIp>, HashOnBlock>,
        /// Changes to the path or host sent to the upstream.
        "urlRewrite" url_rewrite: UrlRewriteBlock,
        /// Changes to request headers sent to the upstream.
        "requestHeaders" request_headers: HeaderChangesBlock,
        /// Changes to response headers, also of responses that the proxy generates.
        "responseHeaders" response_headers: HeaderChangesBlock,
        /// Timeouts for the upstream.
        "timeouts" timeouts: RouteTimeoutsBlock,
        /// When a failed request is retried.
        "retry" retry: RetryBlock,
        /// Hedging: a second try in parallel to a slow first one. Default none.
        "hedge" hedge: HedgeBlock,
        /// Mirroring: copies of some requests to another upstream.
        "requestMirror" request_mirror: MirrorBlock,
        /// Fault injection: delays and failures for tests.
        "fault" fault: FaultBlock,
        /// A direct response in place of an upstream.
        "directResponse" direct_response: DirectResponseBlock,
        /// A redirect in place of an upstream.
        "requestRedirect" request_redirect: RedirectBlock,
    }
    required ["name"]
}

/// One route, with `defaults` applied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// Unique name.
    pub name: Arc<str>,
    /// The listeners it serves, resolved; all inbound ones when the file names none.
    pub listeners: Vec<ListenerId>,
    /// Host names; empty matches every host.
    pub hostnames: Vec<Hostname>,
    /// Matches, of which one must match; never empty (without `matches` there is one for all
    /// paths).
    pub matches: Vec<RouteMatch>,
    /// Cross-origin access to responses.
    pub cors: Option<Cors>,
    /// Rate limits; all of them apply.
    pub rate_limits: Vec<RateLimitId>,
    /// Required credentials.
    pub auth: Auth,
    /// Authorization rules.
    pub authorize: Option<Authorize>,
    /// External authorization service.
    pub ext_auth: Option<ExtAuth>,
    /// Limit on in-flight requests.
    pub concurrency: Option<Concurrency>,
    /// A response in place of everything that follows.
    pub maintenance: Option<Maintenance>,
    /// Hash key for the choice among several upstreams; `None`: random for each request.
    pub hash_on: Option<HashOn>,
    /// Target of request copies.
    pub request_mirror: Option<Mirror>,
    /// Fault injection.
    pub fault: Option<Fault>,
    /// Changes to the path or host sent to the upstream.
    pub url_rewrite: UrlRewrite,
    /// Changes to request headers sent to the upstream.
    pub request_headers: HeaderChanges,
    /// Changes to response headers, also of responses that the proxy generates.
    pub response_headers: HeaderChanges,
    /// Timeouts for the upstream.
    pub timeouts: RouteTimeouts,
    /// When a failed request is retried.
    pub retry: Option<Retry>,
    /// Hedging.
    pub hedge: Option<Hedge>,
    /// What the route does with the request.
    pub action: Action,
}

impl Route {
    /// An open route without changes and timeouts; the other fields are public.
    pub fn new(
        name: Arc<str>,
        listeners: Vec<ListenerId>,
        matches: Vec<RouteMatch>,
        action: Action,
    ) -> Self {
        Self {
            name,
            listeners,
            hostnames: Vec::new(),
            matches,
            cors: None,
            rate_limits: Vec::new(),
            auth: Auth::none(),
            authorize: None,
            ext_auth: None,
            concurrency: None,
            maintenance: None,
            hash_on: None,
            request_mirror: None,
            fault: None,
            url_rewrite: UrlRewrite::default(),
            request_headers: HeaderChanges::default(),
            response_headers: HeaderChanges::default(),
            timeouts: RouteTimeouts {
                request: None,
                backend_request: None,
                stream_idle: None,
                upgrade_idle: None,
            },
            retry: None,
            hedge: None,
            action,
        }
    }
}

/// Other parts of the file that a message may refer to.
pub(crate) struct OtherBlocks<'a> {
    pub(crate) upstreams: Option<&'a Place>,
    pub(crate) listeners: Option<&'a Place>,
}

/// Validates all routes; without any, all requests go to the app.
pub(crate) fn accept(
    written: Option<&At<Vec<At<RouteBlock>>>>,
    defaults: Option<&At<DefaultsBlock>>,
    beside: &OtherBlocks<'_>,
    context: &Context<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let none = DefaultsBlock::default();
    let inherited = defaults.map_or(&none, |defaults| &defaults.value);
    // `defaults.auth` is validated also when every route overrides it.
    let defaults_only = AuthContext {
        name: "",
        direction: Direction::Inbound,
        listeners: &[],
        context,
    };
    defaults_only.auth(None, inherited.auth.as_ref(), report);
    rate_limits::named(inherited.rate_limits.as_ref(), context, report);
    let Some(written) = written else {
        return default_routes(beside, inherited, context, report);
    };
    if written.value.is_empty() {
        let help = "add a route, or remove the key to send all requests to the app";
        report.error(
            &written.place,
            "empty-list",
            "the list of routes is empty",
            help,
        );
    }
    let mut routes: Vec<Route> = Vec::with_capacity(written.value.len());
    let mut taken = name::UsedNames::of("route");
    for item in &written.value {
        if let Some(name) = &item.value.name {
            name::check(&name.value, &name.place, report);
            taken.take(&name.value, &name.place, report);
        }
        routes.push(route(item, inherited, context, files, report));
    }
    routes
}

fn default_routes(
    beside: &OtherBlocks<'_>,
    inherited: &DefaultsBlock,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let listeners = context.inbound();
    if !context.has_app {
        if let Some(upstreams) = beside.upstreams {
            let help = "add `routes`, or an `app` as default";
            report.error(
                upstreams,
                "missing-key",
                "no route uses these upstreams",
                help,
            );
        }
        return Vec::new();
    }
    if listeners.is_empty() {
        let place = beside.listeners.cloned().unwrap_or_else(Place::root);
        let help = "add an inbound listener, or `routes` for the outbound ones";
        report.error(
            &place,
            "missing-key",
            "there is no default route, because every listener is outbound",
            help,
        );
    }
    let asking = AuthContext {
        name: "app",
        direction: Direction::Inbound,
        listeners: &listeners,
        context,
    };
    let auth = asking.auth(None, inherited.auth.as_ref(), report);
    let rate_limits =
        rate_limits::inherited(inherited.rate_limits.as_ref(), &auth, &asking, report);
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
        maintenance: None,
        hash_on: None,
        request_mirror: None,
        fault: None,
        url_rewrite: UrlRewrite::default(),
        request_headers: header_changes::accept(None, inherited.request_headers.as_ref(), report),
        response_headers: header_changes::accept(None, inherited.response_headers.as_ref(), report),
        retry: retry::accept(None, inherited.retry.as_ref(), &timeouts, report),
        timeouts,
        hedge: None,
        action: Action::Forward(vec![WeightedBackend {
            upstream: UpstreamId(0),
            weight: 1,
        }]),
    };
    vec![route]
}

fn route(
    item: &At<RouteBlock>,
    inherited: &DefaultsBlock,
    context: &Context<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Route {
    let block = &item.value;
    let place = block.name.as_ref().map_or(&item.place, |name| &name.place);
    let (listeners, direction) =
        listeners::accept(block.listeners.as_ref(), place, context, report);
    let rules = listeners::path_rules(&listeners, context);
    let matches = matches::accept(block.matches.as_ref(), rules, report);
    let prefixes = only_prefixes(&matches);
    let written = action::ActionKeys {
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
    // Settings that matter only for forwarded requests have a fixed value on other routes.
    let inherited_timeouts = inherited.timeouts.as_ref().filter(|_| forwards);
    let inherited_retry = inherited.retry.as_ref().filter(|_| forwards);
    let inherited_changes = inherited.request_headers.as_ref().filter(|_| forwards);
    let name = block.name.as_ref().map_or("", |name| &name.value);
    let asking = AuthContext {
        name,
        direction,
        listeners: &listeners,
        context,
    };
    let auth = asking.auth(block.auth.as_ref(), inherited.auth.as_ref(), report);
    let rate_limits = match &block.rate_limits {
        Some(own) => rate_limits::own(own, &auth, &asking, report),
        None => rate_limits::inherited(inherited.rate_limits.as_ref(), &auth, &asking, report),
    };
    let authorize = block
        .authorize
        .as_ref()
        .map(|written| authorize::accept(written, &auth, &asking, report));
    let timeouts = timeouts::accept(
        block.timeouts.as_ref().filter(|_| forwards),
        inherited_timeouts,
        report,
    );
    matches::check_claims(block.matches.as_ref(), direction, context, report);
    if direction == Direction::Inbound {
        matches::check_claim_headers(block.matches.as_ref(), context, report);
    }
    Route {
        name: name.into(),
        listeners,
        hostnames: hostnames::accept(block.hostnames.as_ref(), report),
        matches,
        cors: cors::accept(block.cors.as_ref(), inherited.cors.as_ref(), report),
        rate_limits,
        auth,
        authorize,
        ext_auth: block
            .ext_auth
            .as_ref()
            .and_then(|block| ext_auth::accept(&block.value, context.providers, files, report)),
        concurrency: block
            .concurrency
            .as_ref()
            .map(|block| concurrency::accept(&block.value, report)),
        maintenance: (block.maintenance.as_ref())
            .map(|block| maintenance::accept(&block.value, report)),
        hash_on: hash_on::accept(block.hash_on.as_ref(), &action, report),
        request_mirror: block
            .request_mirror
            .as_ref()
            .and_then(|block| mirror::accept(&block.value, context, report)),
        fault: block
            .fault
            .as_ref()
            .map(|block| fault::accept(block, report)),
        url_rewrite: rewrite::accept(block.url_rewrite.as_ref(), prefixes, report),
        request_headers: match forwards {
            true => {
                header_changes::accept(block.request_headers.as_ref(), inherited_changes, report)
            }
            false => HeaderChanges::default(),
        },
        response_headers: header_changes::accept(
            block.response_headers.as_ref(),
            inherited.response_headers.as_ref(),
            report,
        ),
        retry: retry::accept(
            block.retry.as_ref().filter(|_| forwards),
            inherited_retry,
            &timeouts,
            report,
        ),
        timeouts,
        hedge: hedge::accept(
            block.hedge.as_ref().filter(|_| forwards),
            &action,
            context.upstreams,
            report,
        ),
        action,
    }
}

/// Reports keys that have no effect on a route with a redirect or direct response.
fn without_effect(block: &RouteBlock, report: &mut Report) {
    let keys = [
        ("urlRewrite", block.url_rewrite.as_ref().map(|at| &at.place)),
        (
            "requestHeaders",
            block.request_headers.as_ref().map(|at| &at.place),
        ),
        (
            "concurrency",
            block.concurrency.as_ref().map(|at| &at.place),
        ),
        ("hashOn", block.hash_on.as_ref().map(|at| &at.place)),
        (
            "requestMirror",
            block.request_mirror.as_ref().map(|at| &at.place),
        ),
        ("fault", block.fault.as_ref().map(|at| &at.place)),
        ("timeouts", block.timeouts.as_ref().map(|at| &at.place)),
        ("retry", block.retry.as_ref().map(|at| &at.place)),
        ("hedge", block.hedge.as_ref().map(|at| &at.place)),
    ];
    for (key, place) in keys {
        if let Some(place) = place {
            let message =
                format!("`{key}` has no effect on a route with a redirect or direct response");
            report.error(place, "conflicting-keys", message, "remove it");
        }
    }
}

/// Renders one route. Keys that would be rejected on a route with a redirect or direct response are
/// omitted there.
pub(crate) fn show(route: &Route, lists: &Lists<'_>) -> Value {
    let listeners: Vec<Value> = route
        .listeners
        .iter()
        .map(|id| (*lists.listeners[id.0 as usize].name).into())
        .collect();
    let hostnames: Vec<Value> = route.hostnames.iter().map(hostname::show).collect();
    let matches: Vec<Value> = route.matches.iter().map(matches::show).collect();
    // The key is rejected on outbound routes.
    let inbound = route
        .listeners
        .iter()
        .all(|id| lists.listeners[id.0 as usize].direction == Direction::Inbound);
    let limits: Vec<Value> = route
        .rate_limits
        .iter()
        .map(|id| (*lists.rate_limits[id.0 as usize].name).into())
        .collect();
    let object = Object::new()
        .with("name", &*route.name)
        .with("listeners", listeners)
        .maybe("hostnames", (!hostnames.is_empty()).then_some(hostnames))
        .with("matches", matches)
        .maybe("rateLimits", (!limits.is_empty()).then_some(limits))
        .maybe(
            "auth",
            inbound.then(|| auth::show(&route.auth, lists.providers)),
        )
        .maybe("authorize", route.authorize.as_ref().map(authorize::show))
        .maybe("extAuth", route.ext_auth.as_ref().map(ext_auth::show))
        .maybe("cors", route.cors.as_ref().map(cors::show))
        .maybe(
            "maintenance",
            route.maintenance.as_ref().map(maintenance::show),
        );
    let object = match &route.action {
        Action::Forward(backends) => forward(object, lists, route, backends),
        Action::Redirect(redirect) => object.with("requestRedirect", redirect::show(redirect)),
        Action::Respond(response) => object.with("directResponse", response::show(response)),
    };
    object
        .maybe(
            "responseHeaders",
            header_changes::show(&route.response_headers),
        )
        .into()
}

fn forward(
    object: Object,
    lists: &Lists<'_>,
    route: &Route,
    backends: &[WeightedBackend],
) -> Object {
    let backend = |item: &WeightedBackend| -> Value {
        backends::show(item, lists.upstream(item.upstream)).into()
    };
    object
        .maybe("urlRewrite", rewrite::show(&route.url_rewrite))
        .maybe(
            "requestHeaders",
            header_changes::show(&route.request_headers),
        )
        .maybe(
            "concurrency",
            route.concurrency.as_ref().map(concurrency::show),
        )
        .maybe("hashOn", route.hash_on.as_ref().map(hash_on::show))
        .maybe(
            "requestMirror",
            route
                .request_mirror
                .as_ref()
                .map(|mirror| mirror::show(mirror, lists.upstream(mirror.upstream))),
        )
        .maybe("fault", route.fault.as_ref().map(fault::show))
        .with("timeouts", route.timeouts.show())
        .maybe("retry", route.retry.as_ref().map(retry::show))
        .maybe("hedge", route.hedge.as_ref().map(hedge::show))
        .with(
            "backendRefs",
            backends.iter().map(backend).collect::<Vec<_>>(),
        )
}
