//! What answers a request: an upstream, a redirect or a fixed answer.

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

/// What a route says about it, of which exactly one is written, or nothing.
pub(crate) struct Written<'a> {
    pub(crate) backend_refs: Option<&'a BackendRefs>,
    pub(crate) direct_response: Option<&'a At<DirectResponseBlock>>,
    pub(crate) request_redirect: Option<&'a At<RedirectBlock>>,
    /// The route.
    pub(crate) place: &'a Place,
}

/// The one action of a route.
pub(crate) fn accept(
    written: &Written<'_>,
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
            "an outbound route needs `backendRefs`",
            "name an upstream: `backendRefs: […]`",
        ),
        Direction::Inbound => (
            "there is no `app` that this route could go to by default",
            "name an upstream: `backendRefs: […]`",
        ),
    };
    report.error(written.place, "missing-key", message, help);
    Action::Forward(Vec::new())
}

fn exactly_one(written: &Written<'_>, report: &mut Report) {
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
        let message = format!("`{first}` and `{second}` exclude each other");
        report.error(
            place,
            "conflicting-keys",
            message,
            "a route does exactly one thing; keep one",
        );
    }
}
