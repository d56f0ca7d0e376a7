//! The proxy as a process: YAML in, real sockets, bytes, access log and metrics out. One file per feature.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests are named as sentences, support is seen by tests alone, and a failure is a panic"
)]

mod app_probes;
mod attacks;
mod authorize;
mod bad_input;
mod balance;
mod cli;
mod cors;
mod decisions;
mod deployed;
mod egress;
mod eviction;
mod expect;
mod ext_auth;
mod framing;
mod grpc;
mod grpc_interop;
mod hosts;
mod http1;
mod http2;
mod http2_upstream;
mod idle;
mod inject;
mod jwks;
mod jwt;
mod lifecycle;
mod limits;
mod logs;
mod metrics_page;
mod mirror;
mod monitor;
mod observability;
mod oidc;
mod operation;
mod prometheus;
mod proxy_protocol;
mod rate_limits;
mod recovery;
mod redis_limits;
mod reload;
mod retry;
mod routes;
mod series;
mod smoke;
mod soak;
mod stdout;
mod streaming;
mod support;
mod tls;
mod traffic;
mod upstreams;
mod websocket;
mod websocket_drain;
