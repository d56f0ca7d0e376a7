//! An item of `routes`, and `defaults`.

use crate::{
    block::{At, Either, Entries, Int, Word, block},
    part::{scheme::Scheme, value_match::MatchValue, words::ClientIp},
    route::{
        concurrency::ConcurrencyBlock, cors::CorsBlock, fault::FaultBlock,
        header_changes::HeaderChangesBlock, mirror::MirrorBlock, timeouts::RouteTimeoutsBlock,
    },
    schema::{AuthValue, AuthorizeBlock, ExtAuthBlock, HashOnBlock, HedgeBlock, RetryBlock},
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

block! {
    /// One match; everything in it must hold.
    MatchBlock {
        /// The canonical path: a string is a prefix of whole elements, or a map says which kind.
        "path" path: Either<String, PathMatchBlock>,
        /// The method, in capitals.
        "method" method: String,
        /// `http` or `https`: what the client speaks to the proxy, or to the trusted peer in front of it (`x-forwarded-proto`).
        "scheme" scheme: Word<Scheme>,
        /// Headers, all of which must match: a string is the exact value. `x-forwarded-proto`, `-host`, `-for` and `x-request-id` are seen as the app will see them.
        "headers" headers: Entries<MatchValue>,
        /// Query parameters, all of which must match: a string is the exact value. The first value of a name counts, decoded: `+` and `%20` are a space, `%2B` is a plus.
        "queryParams" query_params: Entries<MatchValue>,
        /// Claims of a verified token, all of which must match: a string is the exact value.
        "claims" claims: Entries<MatchValue>,
    }
}

block! {
    /// One kind of path match.
    PathMatchBlock {
        /// The whole path.
        "exact" exact: String,
        /// Whole leading elements: /abc takes /abc and /abc/d, not /abcd.
        "prefix" prefix: String,
        /// The whole path, in which {name} stands for one element: /users/{id}/orders.
        "template" template: String,
        /// A regular expression for the whole path.
        "regex" regex: String,
    }
    one_of ["exact", "prefix", "template", "regex"]
}

block! {
    /// An upstream and its share.
    BackendRefBlock {
        /// Name of an upstream, or `app`.
        "name" name: String,
        /// Relative share, 0 to 1000000; 0 sends nothing. Default 1.
        "weight" weight: Int<0, 1_000_000>,
    }
    required ["name"]
}

block! {
    /// Changes to the path or host sent on.
    UrlRewriteBlock {
        /// The Host sent on.
        "hostname" hostname: String,
        /// Changes to the path.
        "path" path: PathRewriteBlock,
    }
}

block! {
    /// Changes to a path; the query is left untouched.
    PathRewriteBlock {
        /// What the matched prefix becomes; all matches of the route must be prefixes.
        "replacePrefixMatch" replace_prefix_match: String,
        /// What the whole path becomes.
        "replaceFull" replace_full: String,
    }
    one_of ["replacePrefixMatch", "replaceFull"]
}

block! {
    /// A fixed answer.
    DirectResponseBlock {
        /// Status code, 200 to 599.
        "status" status: Int<200, 599>,
        /// Text of the body. Default empty.
        "body" body: String,
    }
    required ["status"]
}

block! {
    /// A redirect; what is absent is taken from the request.
    RedirectBlock {
        /// `http` or `https`.
        "scheme" scheme: Word<Scheme>,
        /// The host.
        "hostname" hostname: String,
        /// The port. Default: the scheme's own when `scheme` is given, else the request's.
        "port" port: Int<1, 65535>,
        /// Changes to the path.
        "path" path: PathRewriteBlock,
        /// 301, 302, 303, 307 or 308. Default 302.
        "statusCode" status_code: Int<301, 308>,
    }
}
