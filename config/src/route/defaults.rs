//! `defaults`: settings that every route inherits and may override.

use crate::{
    block::{At, block},
    route::{
        auth::AuthValue, cors::CorsBlock, header_changes::HeaderChangesBlock, retry::RetryBlock,
        timeouts::RouteTimeoutsBlock,
    },
};

block! {
    /// Settings that every route inherits and may override key by key; lists are replaced as a
    /// whole.
    DefaultsBlock {
        /// Timeouts for the upstream.
        "timeouts" timeouts: RouteTimeoutsBlock,
        /// When a failed request is retried; a route may override it key by key.
        "retry" retry: RetryBlock,
        /// Required credentials on inbound routes, or `none`. Default: a token of any provider, if
        /// there is one. An `auth` of a route replaces this as a whole.
        "auth" auth: AuthValue,
        /// Names of limits for inbound routes. A list in a route, also an empty one, replaces this
        /// as a whole.
        "rateLimits" rate_limits: Vec<At<String>>,
        /// Cross-origin access to responses (CORS); a route may override it key by key.
        "cors" cors: CorsBlock,
        /// Changes to request headers sent to the upstream.
        "requestHeaders" request_headers: HeaderChangesBlock,
        /// Changes to response headers.
        "responseHeaders" response_headers: HeaderChangesBlock,
    }
}
