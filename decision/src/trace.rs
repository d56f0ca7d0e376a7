//! Why a decision came out as it did, for what explains it. The data path does not listen: its [`Trace`] is `()`, every call
//! is compiled away, and the router stops at the first rule that holds.

use http::Response;
use outrigger_config::model::RouteId;
use outrigger_filters::{error::Error, service::Body};

/// Listens to a decision while it is made.
pub trait Trace: Copy {
    /// Whether anything listens; without it the router asks no rule behind the one that holds.
    const LISTENS: bool = true;

    /// The routes of this host name are asked: a name, the suffix of a wildcard with its dot, or `None` for routes without
    /// host names. Each one that the request's host matches comes once, most specific first.
    fn hostname(self, _name: Option<&str>) {}

    /// A match of a route, by its index, whose host name and path match the request, in order of precedence.
    fn candidate(self, _route: RouteId, _match_index: u32, _lost: Option<Lost>) {}

    /// What a stage of [`evaluate`](crate::evaluate()) said: one of the constants here, or a step by its
    /// [`name`](outrigger_filters::step::Step::name).
    fn stage(self, _stage: &'static str, _said: Said<'_>) {}
}

/// Framing, limits, client address and headers that the proxy owns.
pub const INTAKE: &str = "intake";

/// The route choice.
pub const ROUTE: &str = "route";

/// A CORS preflight.
pub const CORS: &str = "cors";

/// `requestRedirect`, `directResponse`, or the choice of an upstream.
pub const ACTION: &str = "action";

/// Nothing listens.
impl Trace for () {
    const LISTENS: bool = false;
}

/// What a stage says about a request.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// The next stage looks at it.
    Pass,
    /// It is refused.
    Refuse(&'a Error),
    /// This is the answer to it.
    Answer(&'a Response<Body>),
    /// It is not known before the stage is carried out.
    Unknown,
}

/// Why a match with the request's host name and path does not take it: the first condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// `method`.
    Method,
    /// `scheme`.
    Scheme,
    /// `headers`.
    Headers,
    /// `queryParams`.
    Query,
    /// `claims`, of a token that is verified.
    Claims,
    /// All hold, and a match that stands before it has the request.
    Precedence,
}
