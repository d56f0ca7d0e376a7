//! How the app or an endpoint is checked.

/// The kind of a readiness or health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessProbe {
    /// A TCP connect succeeds.
    Connect,
    /// `GET path` returns 200-399.
    Http {
        /// Origin-form target, beginning with `/`.
        path: String,
    },
    /// `grpc.health.v1.Health/Check` returns SERVING.
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
    },
}
