//! An item of `routes`, and `defaults`.

use crate::{
    block::{At, Either, Word, block},
    part::{hash_on::HashOnBlock, words::ClientIp},
    route::{
        auth::AuthValue, authorize::AuthorizeBlock, backends::BackendRefBlock, concurrency::ConcurrencyBlock,
        cors::CorsBlock, ext_auth::ExtAuthBlock, fault::FaultBlock, header_changes::HeaderChangesBlock,
        hedge::HedgeBlock, matches::MatchBlock, mirror::MirrorBlock, redirect::RedirectBlock,
        response::DirectResponseBlock, retry::RetryBlock, rewrite::UrlRewriteBlock,
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

block! {
    /// Which requests are taken and what happens to them.
    RouteBlock {
        /// A DNS label, unique among routes.
        "name" name: String,
        /// Names of the listeners it serves. Default: all inbound ones.
        "listeners" listeners: Vec<At<String>>,
        /// Host names, exact or `*.example.com` (one or more labels); a dot at the end means the same name. Default: every host.
        "hostnames" hostnames: Vec<At<String>>,
        /// Matches, of which one must hold. Default: every path.
        "matches" matches: Vec<At<MatchBlock>>,
        /// Names of limits in `rateLimits`; a request must be under all of them. Default: those of `defaults`, on inbound routes.
        "rateLimits" rate_limits: Vec<At<String>>,
        /// What a client must present, or `none` for an open route; inbound routes only. Default: that of `defaults`, else a token of any provider when there is one.
        "auth" auth: AuthValue,
        /// Who of those may do what. Default: everybody.
        "authorize" authorize: AuthorizeBlock,
        /// At most so many requests at once. Default: any number.
        "concurrency" concurrency: ConcurrencyBlock,
        /// A service that is asked about every request, after `auth` and `authorize`.
        "extAuth" ext_auth: ExtAuthBlock,
        /// Which pages of other origins may read the answers.
        "cors" cors: CorsBlock,
        /// Upstreams by weight; an item may be the plain name. Default: the app, on inbound routes.
        "backendRefs" backend_refs: Vec<At<Either<String, BackendRefBlock>>>,
        /// What the choice among several `backendRefs` goes by, so that requests that are alike take the same one: `clientIP`, or a header or cookie. Default: at random, each request by itself.
        "hashOn" hash_on: Either<Word<ClientIp>, HashOnBlock>,
        /// Changes to the path or host sent on.
        "urlRewrite" url_rewrite: UrlRewriteBlock,
        /// Changes to the request head sent on.
        "requestHeaders" request_headers: HeaderChangesBlock,
        /// Changes to every response, our own answers included.
        "responseHeaders" response_headers: HeaderChangesBlock,
        /// How long the upstream may take.
        "timeouts" timeouts: RouteTimeoutsBlock,
        /// What is sent again when a try fails.
        "retry" retry: RetryBlock,
        /// A second try beside one that takes long. Default none.
        "hedge" hedge: HedgeBlock,
        /// A copy of some requests for another upstream.
        "requestMirror" request_mirror: MirrorBlock,
        /// Delays and failures on purpose.
        "fault" fault: FaultBlock,
        /// A fixed answer in place of an upstream.
        "directResponse" direct_response: DirectResponseBlock,
        /// A redirect in place of an upstream.
        "requestRedirect" request_redirect: RedirectBlock,
    }
    required ["name"]
}
