//! `circuitBreaker` of an upstream.

use crate::block::{Int, block};

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
}
