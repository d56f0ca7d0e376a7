//! `circuitBreaker` of an upstream: limits on its load.

use crate::block::{
    At, Int, block,
    field::{narrow, number},
};

block! {
    /// Limits on the load of an upstream, over all workers and endpoints. Requests over a limit get
    /// 503.
    CircuitBreakerBlock {
        /// Maximum open connections, idle ones included, 1 to 1000000. At the limit, requests wait
        /// for a connection. Default 1024.
        "maxConnections" max_connections: Int<1, 1_000_000>,
        /// Maximum in-flight requests, to the last byte of their responses, 1 to 1000000. Default
        /// 1024.
        "maxRequests" max_requests: Int<1, 1_000_000>,
        /// Maximum requests that wait for a connection, 0 to 1000000. Default 1024.
        "maxPendingRequests" max_pending_requests: Int<0, 1_000_000>,
    }
    shown_as CircuitBreaker
}

/// Limits on the load of an upstream, over all workers and endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// Maximum open connections, idle ones included. Default 1024.
    pub max_connections: u32,
    /// Maximum in-flight requests, to the last byte of their responses. Default 1024.
    pub max_requests: u32,
    /// Maximum requests that wait for a connection at `maxConnections`. Default 1024; with 0 no
    /// request waits.
    pub max_pending_requests: u32,
}

/// Envoy's default for each of the three limits.
const BREAKER: u64 = 1024;

/// The limits, with their defaults.
pub(crate) fn accept(block: Option<&At<CircuitBreakerBlock>>) -> CircuitBreaker {
    let none = CircuitBreakerBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    CircuitBreaker {
        max_connections: narrow(number(&block.max_connections, BREAKER)),
        max_requests: narrow(number(&block.max_requests, BREAKER)),
        max_pending_requests: narrow(number(&block.max_pending_requests, BREAKER)),
    }
}
