//! Connections to other servers: addresses, DNS, TLS, credentials, and a small HTTP client.
//!
//! Imports point one way: probe → client → credentials, dns, race, tls; connect → race, tls; dns →
//! address. This crate does not depend on forwarded requests, on metrics of the proxy or on its log
//! lines about handshakes. It reports those through small traits ([`dns::Counters`],
//! [`tls::client::Observer`]).

pub mod address;
pub mod client;
pub mod connect;
pub mod credentials;
pub mod dns;
pub mod probe;
pub mod race;
pub mod tls;
