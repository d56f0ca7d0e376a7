//! What an endpoint is asked to find out whether it is well.

/// What a readiness check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessProbe {
    /// A connection can be made.
    Connect,
    /// `GET path` answers 200-399.
    Http {
        /// Origin-form target, beginning with `/`.
        path: String,
    },
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc {
        /// The service asked for; empty for the server as a whole.
        service: String,
    },
}
