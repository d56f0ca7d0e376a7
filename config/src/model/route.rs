//! Routes: which requests they take and what happens to them.

use std::sync::Arc;

use crate::{
    part::{
        hash_on::HashOn,
        hostname::Hostname,
        id::{ListenerId, RateLimitId},
    },
    route::{
        action::Action, auth::Auth, authorize::Authorize, concurrency::Concurrency, cors::Cors,
        ext_auth::ExtAuth, fault::Fault, header_changes::HeaderChanges, hedge::Hedge, matches::RouteMatch,
        mirror::Mirror, retry::Retry, rewrite::UrlRewrite, timeouts::RouteTimeouts,
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
