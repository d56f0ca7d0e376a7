//! `healthCheck` of an upstream.

use crate::block::{Flag, Int, Time, block};

block! {
    /// How endpoints are asked whether they are well. One that is not gets no requests.
    HealthCheckBlock {
        /// Well when GET on this path answers 200 to 399, over HTTP/2 with `protocol: h2c`, else over HTTP/1.1; with `auto` inside TLS over what the endpoint chooses.
        "path" path: String,
        /// `true`: well when a connection can be made, TLS included where it is spoken.
        "tcp" tcp: Flag,
        /// Well when the gRPC health check of this service answers SERVING; empty for the server as a whole.
        "grpc" grpc: String,
        /// How often each endpoint is asked, give or take a tenth, over 0. Default 10s.
        "interval" interval: Time,
        /// From the start of the connect to the whole answer, over 0. Default 1s.
        "timeout" timeout: Time,
        /// Good answers in a row that bring an endpoint back, 1 to 100. Default 2.
        "healthyThreshold" healthy_threshold: Int<1, 100>,
        /// Bad answers in a row that take an endpoint out, 1 to 100; the very first answer alone does. Default 3.
        "unhealthyThreshold" unhealthy_threshold: Int<1, 100>,
    }
    one_of ["path", "tcp", "grpc"]
}
