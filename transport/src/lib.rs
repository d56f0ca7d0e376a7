//! Connections to other servers: addresses, DNS, TLS, credentials, and a small HTTP client.
//!
//! Imports point one way: probe → client → credentials, dns, race, tls; connect → race, tls; dns → address. Nothing here knows of requests that the proxy forwards, of its
//! metrics or its log lines about handshakes: those are reported through small traits ([`dns::Counters`],
//! [`tls::client::Observer`]).

pub mod address;
pub mod client;
pub mod connect;
pub mod credentials;
pub mod dns;
pub mod probe;
pub mod race;
pub mod tls;
