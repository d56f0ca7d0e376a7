//! How much may be under way to an upstream.

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
