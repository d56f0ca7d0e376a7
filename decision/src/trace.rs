//! Explains a decision. The data path uses `()` as its [`Trace`]: every call is compiled away, and
//! the router stops at the first rule that matches.

use http::Response;
use outrigger_config::model::RouteId;
use outrigger_filters::{error::Error, service::Body};

/// Receives the details of a decision.
pub trait Trace: Copy {
    /// Whether the trace is used; without it the router stops at the first rule that matches.
    const LISTENS: bool = true;

    /// The routes of this host name are checked: a name, the suffix of a wildcard with its dot, or
    /// `None` for routes without host names. It is called once for each one that matches the
    /// request's host, most specific first.
    fn hostname(self, _name: Option<&str>) {}

    /// A match of a route, by its index, whose host name and path match the request, in order of precedence.
    fn candidate(self, _route: RouteId, _match_index: u32, _lost: Option<Lost>) {}

    /// The result of a stage of [`evaluate`](crate::evaluate()): one of the constants here, or a
    /// step by its [`name`](outrigger_filters::step::Step::name).
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

/// No trace.
impl Trace for () {
    const LISTENS: bool = false;
}

/// The result of a stage.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// The request continues with the next stage.
    Pass,
    /// The request is rejected.
    Refuse(&'a Error),
    /// The request gets this response.
    Answer(&'a Response<Body>),
    /// The result cannot be known without carrying out the stage.
    Unknown,
}

/// Why a match with the request's host name and path does not apply: its first condition that does
/// not match.
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
    /// `claims` of a verified token.
    Claims,
    /// All conditions match, but an earlier match has precedence.
    Precedence,
}
