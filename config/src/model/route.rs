//! Routes: which requests they take and what happens to them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::{
    model::{Auth, Authorize, ExtAuth, HashOn, Hedge, Retry},
    part::{
        claim::ClaimMatch,
        hostname::Hostname,
        id::{ListenerId, RateLimitId, UpstreamId},
        path::PathTemplate,
        scheme::Scheme,
        value_match::{Pattern, ValueMatch},
    },
    route::{
        concurrency::Concurrency, cors::Cors, fault::Fault, header_changes::HeaderChanges, mirror::Mirror,
        timeouts::RouteTimeouts,
    },
};

/// One route, with `defaults` already applied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// Unique name.
    pub name: Arc<str>,
    /// The listeners it serves, resolved; all inbound ones when the file names none.
    pub listeners: Vec<ListenerId>,
    /// Host names; empty takes every host.
    pub hostnames: Vec<Hostname>,
    /// Matches, of which one must hold; never empty (absent matches are one that takes all paths).
    pub matches: Vec<RouteMatch>,
    /// Which pages of other origins may read its answers.
    pub cors: Option<Cors>,
    /// How often it may be asked; all of them hold.
    pub rate_limits: Vec<RateLimitId>,
    /// What a client must present.
    pub auth: Auth,
    /// What it may do with that.
    pub authorize: Option<Authorize>,
    /// The service that is asked as well.
    pub ext_auth: Option<ExtAuth>,
    /// How many requests may be with the upstream at once.
    pub concurrency: Option<Concurrency>,
    /// What the choice among several upstreams goes by; `None` draws for each request.
    pub hash_on: Option<HashOn>,
    /// Where copies of some requests go.
    pub request_mirror: Option<Mirror>,
    /// Delays and failures on purpose.
    pub fault: Option<Fault>,
    /// Changes to the path or host sent on.
    pub url_rewrite: UrlRewrite,
    /// Changes to the request head sent on.
    pub request_headers: HeaderChanges,
    /// Changes to every response, our own answers included.
    pub response_headers: HeaderChanges,
    /// How long the upstream may take.
    pub timeouts: RouteTimeouts,
    /// What is sent again when a try fails.
    pub retry: Option<Retry>,
    /// When a second try begins beside one that takes long.
    pub hedge: Option<Hedge>,
    /// What answers the request.
    pub action: Action,
}

impl Route {
    /// An open route that changes nothing on the way and has no timeouts; the fields are public for the rest.
    pub fn new(name: Arc<str>, listeners: Vec<ListenerId>, matches: Vec<RouteMatch>, action: Action) -> Self {
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

/// One item of `matches`; everything in it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteMatch {
    /// The canonical path.
    pub path: PathMatch,
    /// The method, when one is named.
    pub method: Option<Method>,
    /// What the client speaks, when that is named.
    pub scheme: Option<Scheme>,
    /// Headers, all of which must match.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters, all of which must match.
    pub query_params: Vec<QueryMatch>,
    /// Verified claims, all of which must match.
    pub claims: Vec<ClaimMatch>,
}

impl RouteMatch {
    /// A match on the path alone.
    pub fn new(path: PathMatch) -> Self {
        Self {
            path,
            method: None,
            scheme: None,
            headers: Vec::new(),
            query_params: Vec::new(),
            claims: Vec::new(),
        }
    }
}

/// A match on the canonical path; the values are in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// Whole leading elements: `/abc` takes `/abc` and `/abc/d`, not `/abcd`. Without a trailing slash, except `/`.
    Prefix(Arc<str>),
    /// A template for the whole path.
    Template(PathTemplate),
    /// A regular expression for the whole path.
    Regex(Pattern),
}

/// A match on a header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderMatch {
    /// The header.
    pub name: HeaderName,
    /// What one of its values must be.
    pub value: ValueMatch,
}

impl HeaderMatch {
    /// A match on one header.
    pub fn new(name: HeaderName, value: ValueMatch) -> Self {
        Self { name, value }
    }
}

/// A match on a query parameter, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryMatch {
    /// The parameter; case matters.
    pub name: Arc<str>,
    /// What its first value must be.
    pub value: ValueMatch,
}

impl QueryMatch {
    /// A match on one parameter.
    pub fn new(name: Arc<str>, value: ValueMatch) -> Self {
        Self { name, value }
    }
}

/// What answers a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// One of these upstreams, by weight; at least one has a weight over 0.
    Forward(Vec<WeightedBackend>),
    /// A redirect.
    Redirect(Redirect),
    /// A fixed answer.
    Respond(DirectResponse),
}

/// One item of `backendRefs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WeightedBackend {
    /// Where to.
    pub upstream: UpstreamId,
    /// Relative share, 0-1 000 000. Default 1; 0 sends nothing.
    pub weight: u32,
}

impl WeightedBackend {
    /// An upstream and its share.
    pub fn new(upstream: UpstreamId, weight: u32) -> Self {
        Self { upstream, weight }
    }
}

/// `requestRedirect`: parts that are absent are taken from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// The host.
    pub hostname: Option<Arc<str>>,
    /// The port; absent with a scheme: that scheme's own, absent without: the request's.
    pub port: Option<u16>,
    /// Changes to the path.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: StatusCode,
}

impl Redirect {
    /// A redirect to where the request came from, until a field says otherwise.
    pub fn new(status: StatusCode) -> Self {
        Self { scheme: None, hostname: None, port: None, path: None, status }
    }
}

/// `directResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectResponse {
    /// 200-599.
    pub status: StatusCode,
    /// Sent as `text/plain; charset=utf-8`; may be empty.
    pub body: Arc<str>,
}

impl DirectResponse {
    /// A fixed answer.
    pub fn new(status: StatusCode, body: Arc<str>) -> Self {
        Self { status, body }
    }
}

/// `urlRewrite`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UrlRewrite {
    /// The Host sent on.
    pub hostname: Option<HeaderValue>,
    /// Changes to the path.
    pub path: Option<PathRewrite>,
}

/// Changes to a path; the query is left untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// The matched prefix becomes this; the route's matches are all prefixes.
    ReplacePrefixMatch(Arc<str>),
    /// The whole path becomes this.
    ReplaceFull(Arc<str>),
}
