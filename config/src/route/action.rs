//! What a route does with a request: an upstream, a redirect or a direct response.

use crate::{
    block::{
        At,
        problem::{Place, Report},
    },
    listener::direction::Direction,
    part::id::UpstreamId,
    route::{
        backends::{self, BackendRefs, WeightedBackend},
        context::Context,
        redirect::{self, Redirect, RedirectBlock},
        response::{self, DirectResponse, DirectResponseBlock},
    },
};

/// What a route does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// One of these upstreams, by weight; at least one has a weight over 0.
    Forward(Vec<WeightedBackend>),
    /// A redirect.
    Redirect(Redirect),
    /// A direct response.
    Respond(DirectResponse),
}

/// The action keys of a route, of which at most one is written.
pub(crate) struct ActionKeys<'a> {
    pub(crate) backend_refs: Option<&'a BackendRefs>,
    pub(crate) direct_response: Option<&'a At<DirectResponseBlock>>,
    pub(crate) request_redirect: Option<&'a At<RedirectBlock>>,
    /// The route.
    pub(crate) place: &'a Place,
}

/// Validates the action of a route.
pub(crate) fn accept(
    written: &ActionKeys<'_>,
    direction: Direction,
    prefixes: bool,
    context: &Context<'_>,
    report: &mut Report,
) -> Action {
    exactly_one(written, report);
    if let Some(redirect) = written.request_redirect {
        return Action::Redirect(redirect::accept(redirect, prefixes, report));
    }
    if let Some(response) = written.direct_response {
        return Action::Respond(response::accept(&response.value, report));
    }
    if let Some(references) = written.backend_refs {
        return Action::Forward(backends::accept(references, context, report));
    }
    if direction == Direction::Inbound && context.has_app {
        return Action::Forward(vec![WeightedBackend {
            upstream: UpstreamId(0),
            weight: 1,
        }]);
    }
    let (message, help) = match direction {
        Direction::Outbound => (
            "an outbound route requires `backendRefs`",
            "add an upstream: `backendRefs: […]`",
        ),
        Direction::Inbound => (
            "the route has no `backendRefs`, and `app` is not configured",
            "add an upstream: `backendRefs: […]`",
        ),
    };
    report.error(written.place, "missing-key", message, help);
    Action::Forward(Vec::new())
}

fn exactly_one(written: &ActionKeys<'_>, report: &mut Report) {
    let present: Vec<(&str, &Place)> = [
        ("backendRefs", written.backend_refs.map(|at| &at.place)),
        (
            "directResponse",
            written.direct_response.map(|at| &at.place),
        ),
        (
            "requestRedirect",
            written.request_redirect.map(|at| &at.place),
        ),
    ]
    .into_iter()
    .filter_map(|(key, place)| place.map(|place| (key, place)))
    .collect();
    if let [(first, _), (second, place), ..] = present[..] {
        let message = format!("`{first}` and `{second}` cannot be used together");
        report.error(
            place,
            "conflicting-keys",
            message,
            "a route has exactly one action; keep one",
        );
    }
}
