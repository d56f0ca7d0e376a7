//! An entry of `upstreams`.

mod balance;
mod breaker;
mod health;
mod outlier;

pub(crate) use balance::{HashOnBlock, LoadBalancerBlock};
pub(crate) use breaker::CircuitBreakerBlock;
pub(crate) use health::HealthCheckBlock;
pub(crate) use outlier::OutlierDetectionBlock;

use crate::{
    block::{At, Int, Time, Word, block},
    model::Protocol,
    schema::{CredentialsBlock, RetryBudgetBlock, UpstreamTlsBlock, words::DnsType},
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

block! {
    /// A name that is looked up in DNS. The last good answer stays while it cannot be; addresses that vanish get no new requests.
    DnsBlock {
        /// The name, such as `search.prod.svc.cluster.local.`; without the dot at its end it goes through the search domains of resolv.conf.
        "name" name: String,
        /// The port of the endpoints, 1 to 65535; with SRV it comes from the answer.
        "port" port: Int<1, 65535>,
        /// `A`: each address is an endpoint (IPv4 where there are any, else IPv6). `SRV`: each service of the best priority is one, by its weight. Default A.
        "type" kind: Word<DnsType>,
    }
    required ["name"]
}

block! {
    /// One endpoint.
    EndpointBlock {
        /// `http://host:port` or `https://host:port`, without path, query or user; the port may be left out. All endpoints of an upstream have the same scheme.
        "url" url: String,
        /// Relative share, 1 to 1000. Default 1.
        "weight" weight: Int<1, 1000>,
    }
    required ["url"]
}

block! {
    /// Connect, idle and age limits of connections.
    ConnectionsBlock {
        /// From the first SYN to an open connection, over 0. Default 1s.
        "connectTimeout" connect_timeout: Time,
        /// How long an unused connection is kept, over 0. Default 30s.
        "idleTimeout" idle_timeout: Time,
        /// Age at which a connection is not used for another request. Default 0s, which is off.
        "maxAge" max_age: Time,
    }
}

block! {
    /// Limits on what an endpoint may send.
    UpstreamLimitsBlock {
        /// Header fields of a response, 1 to 1000. Default 100; over it 502.
        "headers" headers: Int<1, 1000>,
    }
}
