//! `defaults`: what every route inherits and may override.

use crate::{
    block::{At, block},
    route::{
        auth::AuthValue, cors::CorsBlock, header_changes::HeaderChangesBlock, retry::RetryBlock,
        timeouts::RouteTimeoutsBlock,
    },
};

block! {
    /// What every route inherits and may override key by key; lists are replaced whole.
    DefaultsBlock {
        /// How long the upstream may take.
        "timeouts" timeouts: RouteTimeoutsBlock,
        /// What is sent again when a try fails; a route may override it key by key.
        "retry" retry: RetryBlock,
        /// What clients of inbound routes must present, or `none`. Default: a token of any provider when there is one. A route that writes its own replaces this whole.
        "auth" auth: AuthValue,
        /// Names of limits for inbound routes. A route that writes its own list, also an empty one, replaces this whole.
        "rateLimits" rate_limits: Vec<At<String>>,
        /// Which pages of other origins may read the answers; a route may override it key by key.
        "cors" cors: CorsBlock,
        /// Changes to the request head sent on.
        "requestHeaders" request_headers: HeaderChangesBlock,
        /// Changes to every response.
        "responseHeaders" response_headers: HeaderChangesBlock,
    }
}
