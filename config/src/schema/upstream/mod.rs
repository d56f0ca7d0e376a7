//! An entry of `upstreams`.

use crate::{
    block::{At, Word, block},
    schema::{CredentialsBlock, UpstreamTlsBlock},
    upstream::{
        balance::LoadBalancerBlock, breaker::CircuitBreakerBlock, connections::ConnectionsBlock,
        dns::DnsBlock, endpoint::EndpointBlock, health::HealthCheckBlock, limits::UpstreamLimitsBlock,
        outlier::OutlierDetectionBlock, protocol::Protocol, retry_budget::RetryBudgetBlock,
    },
};

block! {
    /// A named group of endpoints that a route can send to.
    UpstreamBlock {
        /// The endpoints, at least one.
        "endpoints" endpoints: Vec<At<EndpointBlock>>,
        /// A name whose addresses, or services, are the endpoints; looked up again by its TTL, from 1s to 5m. With `tls` TLS is spoken to them.
        "dns" dns: DnsBlock,
        /// What is spoken to the endpoints: `auto` (HTTP/1.1, and HTTP/2 for gRPC requests), `http1` or `h2c`. Default auto.
        "protocol" protocol: Word<Protocol>,
        /// TLS towards endpoints whose URLs begin with https. Default: their own names, verified by the system's roots.
        "tls" tls: UpstreamTlsBlock,
        /// What is sent along with each request, in place of what the client sent there. Not over http, except to this host.
        "credentials" credentials: CredentialsBlock,
        /// How an endpoint is chosen.
        "loadBalancer" load_balancer: LoadBalancerBlock,
        /// How much may be under way, over all workers and endpoints.
        "circuitBreaker" circuit_breaker: CircuitBreakerBlock,
        /// How endpoints are asked whether they are well. Default: they are not asked.
        "healthCheck" health_check: HealthCheckBlock,
        /// When an endpoint that fails is ejected, and for how long. On by default.
        "outlierDetection" outlier_detection: OutlierDetectionBlock,
        /// Connect, idle and age limits of connections.
        "connections" connections: ConnectionsBlock,
        /// Limits on what an endpoint may send.
        "limits" limits: UpstreamLimitsBlock,
        /// How much is sent a second time.
        "retryBudget" retry_budget: RetryBudgetBlock,
    }
    one_of ["endpoints", "dns"]
}
