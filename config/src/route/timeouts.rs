//! `timeouts` of a route and of `defaults`: how long the upstream may take.

use std::time::Duration;

use crate::block::{
    At, Time, block,
    field::{Field, time_or_off},
    problem::{Place, Report},
};

block! {
    /// How long the upstream may take; 0s switches one off.
    RouteTimeoutsBlock {
        /// From the last byte of the request to the response head, all tries together. Default 15s. A gRPC server sends its head with its first message; until then this and the listener's `bodyIdle` apply, also to a streaming call.
        "request" request: Time,
        /// The same for one try, at most `request`. Default off.
        "backendRequest" backend_request: Time,
        /// From the response head on: without a byte in either direction, request body or response body. Default 5m.
        "streamIdle" stream_idle: Time,
        /// How long an upgraded connection (WebSocket and others, after the 101) may stay without a byte in either direction, before the proxy closes it. `streamIdle` does not apply to it. Default 1h.
        "upgradeIdle" upgrade_idle: Time,
    }
    shown_as RouteTimeouts
}

/// How long the upstream may take; `None` where the file says `0s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteTimeouts {
    /// From the last byte of the request to the response head, all tries together. Default 15 s.
    pub request: Option<Duration>,
    /// The same for one try. Default off; never over `request`.
    pub backend_request: Option<Duration>,
    /// Between two frames of a response body. Default 5 min.
    pub stream_idle: Option<Duration>,
    /// On an upgraded connection, without a byte in either direction. Default 1 h.
    pub upgrade_idle: Option<Duration>,
}

/// Envoy's default for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Envoy's default for a silent stream.
const STREAM_IDLE: Duration = Duration::from_secs(300);

/// Longer than the pauses of people and of common keep-alive messages; a connection whose peer vanished still ends.
const UPGRADE_IDLE: Duration = Duration::from_secs(3600);

/// Checks what a route says; keys that it leaves out come from `defaults`.
pub(crate) fn accept(
    route: Option<&At<RouteTimeoutsBlock>>,
    inherited: Option<&At<RouteTimeoutsBlock>>,
    report: &mut Report,
) -> RouteTimeouts {
    type Key = fn(&RouteTimeoutsBlock) -> &Field<Time>;
    let pick = |key: Key| {
        let blocks = [route, inherited].into_iter().flatten();
        blocks
            .map(|block| key(&block.value))
            .find(|field| field.is_some())
            .cloned()
            .flatten()
    };
    let (request, backend) = (
        pick(|block| &block.request),
        pick(|block| &block.backend_request),
    );
    let timeouts = RouteTimeouts {
        request: time_or_off(&request, Some(REQUEST_TIMEOUT)),
        backend_request: time_or_off(&backend, None),
        stream_idle: time_or_off(&pick(|block| &block.stream_idle), Some(STREAM_IDLE)),
        upgrade_idle: time_or_off(&pick(|block| &block.upgrade_idle), Some(UPGRADE_IDLE)),
    };
    if let (Some(one), Some(all)) = (timeouts.backend_request, timeouts.request)
        && one > all
    {
        // Whichever of the two this route wrote itself is the one to change.
        let own = [&backend, &request].into_iter().flatten();
        let place = own
            .min_by_key(|at| !at.place.path.starts_with("routes"))
            .map(|at| &at.place);
        let anywhere = Place::root();
        let message = "`backendRequest` is longer than `request`, which holds all tries together";
        let help = "shorten `backendRequest` or lengthen `request` (default 15s)";
        report.error(place.unwrap_or(&anywhere), "timeout-order", message, help);
    }
    timeouts
}
