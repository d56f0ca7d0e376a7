//! The `app` block.

use crate::{
    block::{Int, Time, Word, block},
    model::Protocol,
    schema::UpstreamLimitsBlock,
};

block! {
    /// The application in this pod: a loopback port or a Unix socket.
    AppBlock {
        /// The port the app listens on, 1 to 65535.
        "port" port: Int<1, 65535>,
        /// Path of the Unix socket the app listens on, relative to this file.
        "socket" socket: String,
        /// Loopback address of the app. Default 127.0.0.1; `localhost` means the same.
        "host" host: String,
        /// What is spoken to the app: `auto` (HTTP/1.1, and HTTP/2 for gRPC requests), `http1` or `h2c`. Default auto.
        "protocol" protocol: Word<Protocol>,
        /// How /readyz finds out whether the app is ready. Default: a TCP connect.
        "readiness" readiness: ReadinessBlock,
        /// Limits on what the app may send.
        "limits" limits: UpstreamLimitsBlock,
    }
    one_of ["port", "socket"]
    later ["tls", "retry", "connections", "circuitBreaker"]
}

block! {
    /// How /readyz asks the app. Without `path` and `grpc`: a connection can be made.
    ReadinessBlock {
        /// Ready when GET on this path answers 200 to 399, over HTTP/2 with `protocol: h2c`, else over HTTP/1.1.
        "path" path: String,
        /// Ready when the gRPC health check of this service answers SERVING; empty for the server as a whole.
        "grpc" grpc: String,
        /// How long an answer is kept, over 0. Default 5s.
        "interval" interval: Time,
        /// From the start of the connect to the whole answer, over 0. Default 1s.
        "timeout" timeout: Time,
    }
}
