//! `limits` of an upstream and of the app: what an endpoint may send.

use crate::block::{At, Int, block};

block! {
    /// Limits on what an endpoint may send.
    UpstreamLimitsBlock {
        /// Maximum header fields of a response, 1 to 1000. A response with more gets replaced by
        /// 502. Default 100.
        "headers" headers: Int<1, 1000>,
    }
    shown_as UpstreamLimits
}

/// Limits on what an endpoint may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UpstreamLimits {
    /// Maximum header fields of a response. Default 100.
    pub headers: u16,
}

/// The default of Envoy and HAProxy.
const RESPONSE_HEADERS: u64 = 100;

/// Validates the limits of an endpoint.
pub(crate) fn accept(block: Option<&At<UpstreamLimitsBlock>>) -> UpstreamLimits {
    let headers = block.and_then(|block| block.value.headers.as_ref());
    UpstreamLimits {
        headers: headers.map_or(RESPONSE_HEADERS, |number| number.value.0) as u16,
    }
}
