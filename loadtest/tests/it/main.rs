//! The generator against the origin, and both against plain sockets, over real connections.

#![allow(
    clippy::unwrap_used,
    reason = "tests; clippy's own exemption does not reach their helper functions"
)]

mod command_line;
mod compare;
mod grpc;
mod hold;
mod misbehaviour;
mod origin;
mod protocols;
mod quick;
mod rate;
mod scenarios;
mod simulator;
mod tls;
mod tokens;
mod verification;
mod websocket;

use outrigger_loadtest::load::{Plan, Protocol};
use outrigger_loadtest::origin::Origin;

/// Both protocols, the second with several streams on each connection.
const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2 { streams: 4 }];

/// Forty requests over four connections.
fn forty(origin: &Origin, path: &str, protocol: Protocol) -> Plan {
    Plan {
        protocol,
        connections: 4,
        requests: Some(40),
        ..Plan::new(origin.url(path))
    }
}
