//! `circuitBreaker` of an upstream: how much may be under way to it.

use crate::block::{
    At, Int, block,
    field::{narrow, number},
};

block! {
    /// How much may be under way to an upstream, over all workers and endpoints. What is more gets 503.
    CircuitBreakerBlock {
        /// Open connections, idle ones included, 1 to 1000000. Requests wait for one while as many are open. Default 1024.
        "maxConnections" max_connections: Int<1, 1_000_000>,
        /// Requests, to the last byte of their answers, 1 to 1000000. Default 1024.
        "maxRequests" max_requests: Int<1, 1_000_000>,
        /// Requests that wait for a connection, 0 to 1000000. Default 1024.
        "maxPendingRequests" max_pending_requests: Int<0, 1_000_000>,
    }
    shown_as CircuitBreaker
}

/// How much may be under way to an upstream, over all workers and endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// Open connections, idle ones included. Default 1024.
    pub max_connections: u32,
    /// Requests, to the last byte of their answers. Default 1024.
    pub max_requests: u32,
    /// Requests that wait for a connection while as many as may be are open. Default 1024; 0: none waits.
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
