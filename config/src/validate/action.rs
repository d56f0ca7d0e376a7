//! What a route does with a request.

use http::{HeaderValue, StatusCode};

use crate::{
    block::{
        At, Either, Word,
        field::{narrow, number},
        problem::{Place, Report},
        word_of,
    },
    model::{Action, DirectResponse, Direction, HashOn, PathRewrite, Redirect, UrlRewrite, WeightedBackend},
    part::{headers, hostname, id::UpstreamId, path, words::ClientIp},
    route::context::{self, Context},
    schema::{
        BackendRefBlock, DirectResponseBlock, HashOnBlock, PathRewriteBlock, RedirectBlock, RouteBlock,
        UrlRewriteBlock,
    },
    validate::{defaults, upstream},
};

type BackendRefs = At<Vec<At<Either<String, BackendRefBlock>>>>;

/// The one action of a route.
pub(crate) fn action(
    route: &At<RouteBlock>,
    direction: Direction,
    prefixes: bool,
    context: &Context<'_>,
    report: &mut Report,
) -> Action {
    let block = &route.value;
    exactly_one(block, report);
    if let Some(redirect) = &block.request_redirect {
        return Action::Redirect(redirect_to(redirect, prefixes, report));
    }
    if let Some(response) = &block.direct_response {
        return Action::Respond(respond(&response.value, report));
    }
    if let Some(references) = &block.backend_refs {
        return Action::Forward(backends(references, context, report));
    }
    if direction == Direction::Inbound && context.has_app {
        return Action::Forward(vec![WeightedBackend { upstream: UpstreamId(0), weight: 1 }]);
    }
    let place = block.name.as_ref().map_or_else(|| route.place.clone(), |name| name.place.clone());
    let (message, help) = match direction {
        Direction::Outbound => {
            ("an outbound route needs `backendRefs`", "name an upstream: `backendRefs: […]`")
        }
        Direction::Inbound => (
            "there is no `app` that this route could go to by default",
            "name an upstream: `backendRefs: […]`",
        ),
    };
    report.error(&place, "missing-key", message, help);
    Action::Forward(Vec::new())
}

/// Reports keys that change nothing on a route that answers by itself.
pub(crate) fn without_effect(block: &RouteBlock, report: &mut Report) {
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

/// Checks `hashOn` of a route that sends on.
pub(crate) fn hash_on(
    written: Option<&At<Either<Word<ClientIp>, HashOnBlock>>>,
    action: &Action,
    report: &mut Report,
) -> Option<HashOn> {
    let (At { value, place }, Action::Forward(backends)) = (written?, action) else { return None };
    if !backends.is_empty() && backends.iter().filter(|backend| backend.weight > 0).count() < 2 {
        let help = "name several `backendRefs`, or remove it; endpoints are chosen by `loadBalancer` of the upstream";
        report.error(place, "conflicting-keys", "`hashOn` has nothing to choose between", help);
    }
    upstream::hash_on(value, report)
}

/// Checks `urlRewrite`.
pub(crate) fn url_rewrite(
    block: Option<&At<UrlRewriteBlock>>,
    prefixes: bool,
    report: &mut Report,
) -> UrlRewrite {
    let Some(At { value: block, place }) = block else { return UrlRewrite::default() };
    if block.hostname.is_none() && block.path.is_none() {
        let help = "give it `hostname` or `path`, or remove it";
        report.missing(place, &["hostname", "path"], "`urlRewrite` changes nothing", help);
    }
    UrlRewrite {
        hostname: block.hostname.as_ref().map(|text| host_header(text, report)),
        path: block.path.as_ref().map(|path| path_rewrite(path, prefixes, report)),
    }
}

/// A Host to send: a name, with a port if there is one.
fn host_header(text: &At<String>, report: &mut Report) -> HeaderValue {
    let (host, port) = match text.value.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text.value.as_str(), None),
    };
    let name = At { value: host.to_owned(), place: text.place.clone() };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        let message = format!("{:?} is not a host", text.value);
        report.error(&text.place, "bad-hostname", message, "write a name, with a port if need be");
    } else {
        hostname::exact(&name, report);
    }
    headers::value(text, report)
}

fn exactly_one(block: &RouteBlock, report: &mut Report) {
    let written: Vec<(&str, &Place)> = [
        ("backendRefs", block.backend_refs.as_ref().map(|at| &at.place)),
        ("directResponse", block.direct_response.as_ref().map(|at| &at.place)),
        ("requestRedirect", block.request_redirect.as_ref().map(|at| &at.place)),
    ]
    .into_iter()
    .filter_map(|(key, place)| place.map(|place| (key, place)))
    .collect();
    if let [(first, _), (second, place), ..] = written[..] {
        let message = format!("`{first}` and `{second}` exclude each other");
        report.error(place, "conflicting-keys", message, "a route does exactly one thing; keep one");
    }
}

fn backends(references: &BackendRefs, context: &Context<'_>, report: &mut Report) -> Vec<WeightedBackend> {
    if references.value.is_empty() {
        let help = "name an upstream, or remove the key";
        report.error(&references.place, "empty-list", "the route leads nowhere", help);
        return Vec::new();
    }
    let mut backends = Vec::with_capacity(references.value.len());
    for reference in &references.value {
        let (name, place, weight) = match &reference.value {
            Either::Short(name) => (name, &reference.place, 1),
            Either::Map(block) => match &block.name {
                Some(name) => (&name.value, &name.place, number(&block.weight, 1)),
                None => continue,
            },
        };
        if let Some(upstream) = context::upstream(name, place, context, report) {
            backends.push(WeightedBackend { upstream, weight: narrow(weight) });
        }
    }
    if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        let help = "give at least one a weight over 0";
        report.error(&references.place, "no-weight", "all weights are 0, so nothing is sent", help);
    }
    backends
}

fn respond(block: &DirectResponseBlock, report: &mut Report) -> DirectResponse {
    let status = block.status.as_ref().map_or(200, |status| status.value.0);
    if let Some(body) =
        block.body.as_ref().filter(|body| !body.value.is_empty() && [204, 205, 304].contains(&status))
    {
        let message = format!("a response with status {status} has no body");
        report.error(&body.place, "conflicting-keys", message, "remove `body` or change `status`");
    }
    DirectResponse {
        status: status_code(status),
        body: block.body.as_ref().map_or("", |body| &body.value).into(),
    }
}

fn redirect_to(redirect: &At<RedirectBlock>, prefixes: bool, report: &mut Report) -> Redirect {
    let block = &redirect.value;
    if block.scheme.is_none() && block.hostname.is_none() && block.port.is_none() && block.path.is_none() {
        let message = "the redirect leads back to where it came from";
        let help = "give it `scheme`, `hostname`, `port` or `path`";
        report.missing(&redirect.place, &["scheme", "hostname", "port", "path"], message, help);
    }
    let status = number(&block.status_code, defaults::REDIRECT_STATUS);
    if let Some(code) = block.status_code.as_ref().filter(|_| ![301, 302, 303, 307, 308].contains(&status)) {
        let message = format!("{status} is not a status for redirects");
        report.error(&code.place, "bad-value", message, "allowed: 301, 302, 303, 307, 308");
    }
    let scheme = block.scheme.as_ref().map(|scheme| word_of(scheme.value.0).into());
    Redirect {
        scheme,
        hostname: block.hostname.as_ref().and_then(|name| hostname::exact(name, report)).map(Into::into),
        port: block.port.as_ref().map(|port| narrow(port.value.0)),
        path: block.path.as_ref().map(|path| path_rewrite(path, prefixes, report)),
        status: status_code(status),
    }
}

fn status_code(status: u64) -> StatusCode {
    StatusCode::from_u16(narrow(status)).unwrap_or_default()
}

fn path_rewrite(block: &At<PathRewriteBlock>, prefixes: bool, report: &mut Report) -> PathRewrite {
    if let Some(full) = &block.value.replace_full {
        path::sent(full, report);
        return PathRewrite::ReplaceFull(full.value.as_str().into());
    }
    let Some(prefix) = &block.value.replace_prefix_match else {
        return PathRewrite::ReplaceFull("/".into());
    };
    path::sent(prefix, report);
    if !prefixes {
        let message = "there is no prefix to replace: not every match of this route is a prefix";
        let help = "make every match a prefix, or use `replaceFull`";
        report.error(&prefix.place, "no-prefix", message, help);
    }
    PathRewrite::ReplacePrefixMatch(path::trimmed(&prefix.value).into())
}
