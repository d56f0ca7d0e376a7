//! `timeouts` of a route and of `defaults`: timeouts for the upstream.

use std::time::Duration;

use crate::block::{
    At, Time, block,
    field::{Field, time_or_off},
    problem::{Place, Report},
};

block! {
    /// Timeouts for the upstream; 0s disables one.
    RouteTimeoutsBlock {
        /// From the last byte of the request to the response head, over all tries. Default 15s. A
        /// gRPC server sends its head with its first message; until then this timeout and the
        /// listener's `bodyIdle` apply, also to a streaming call.
        "request" request: Time,
        /// The same for one try, at most `request`. Default off.
        "backendRequest" backend_request: Time,
        /// Time without a byte in either direction after the response head. Default 5m.
        "streamIdle" stream_idle: Time,
        /// Time without a byte in either direction on an upgraded connection (WebSocket and others,
        /// after the 101), before the proxy closes it. `streamIdle` does not apply to it. Default
        /// 1h.
        "upgradeIdle" upgrade_idle: Time,
    }
    shown_as RouteTimeouts
}

/// Timeouts for the upstream; `None` when the file has `0s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteTimeouts {
    /// From the last byte of the request to the response head, over all tries. Default 15 s.
    pub request: Option<Duration>,
    /// The same for one try. Default off; never over `request`.
    pub backend_request: Option<Duration>,
    /// Time without a byte in either direction after the response head. Default 5 min.
    pub stream_idle: Option<Duration>,
    /// Time without a byte in either direction on an upgraded connection. Default 1 h.
    pub upgrade_idle: Option<Duration>,
}

/// Envoy's default for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Envoy's default for an idle stream.
const STREAM_IDLE: Duration = Duration::from_secs(300);

/// Longer than the pauses of users and of common keep-alive messages; a connection whose peer is
/// gone is still closed.
const UPGRADE_IDLE: Duration = Duration::from_secs(3600);

/// Validates the timeouts of a route; omitted keys come from `defaults`.
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
        // The message is at the key that this route sets itself.
        let own = [&backend, &request].into_iter().flatten();
        let place = own
            .min_by_key(|at| !at.place.path.starts_with("routes"))
            .map(|at| &at.place);
        let anywhere = Place::root();
        let message = "`backendRequest` is longer than `request`, which covers all tries";
        let help = "lower `backendRequest` or raise `request` (default 15s)";
        report.error(place.unwrap_or(&anywhere), "timeout-order", message, help);
    }
    timeouts
}
