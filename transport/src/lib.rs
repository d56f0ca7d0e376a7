//! Connections to other servers: addresses, DNS, TLS.
//!
//! Imports point one way: connect → race, tls; dns → address. Nothing here knows of requests that the proxy forwards, of its
//! metrics or its log lines about handshakes: those are reported through small traits ([`dns::Counters`],
//! [`tls::client::Observer`]).

pub mod address;
pub mod connect;
pub mod dns;
pub mod race;
pub mod tls;
